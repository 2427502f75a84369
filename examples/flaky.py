"""Call a partner that is down for the first two attempts."""

from trigger_lite import Ctx, Retry, get_logger, task

log = get_logger()


@task(retry=Retry(5, min="1s", max="10s", factor=2))
def charge_order(ctx: Ctx, order: int, amount: float) -> str:
    """Charge an order; the third attempt gets through."""
    attempt = ctx.attempt.number
    log.info("charging", order=order, amount=amount, attempt=attempt)
    if attempt < 3:
        raise ConnectionError(f"the payment service does not answer (attempt {attempt})")
    # The same for every attempt of this run, so that the partner charges once.
    return f"charge-{order}-{ctx.run.id}"
