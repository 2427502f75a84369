import pytest

from trigger_lite.engine.cron_words import describe


@pytest.mark.parametrize(
    ("cron", "words"),
    [
        ("0 5 * * *", "At 05:00 every day"),
        ("0 5,17 * * *", "At 05:00 and 17:00 every day"),
        ("15 1-5 * * *", "At 01:15, 02:15, 03:15, 04:15 and 05:15 every day"),
        ("* * * * *", "Every minute"),
        ("*/15 * * * *", "Every 15 minutes"),
        ("*/15 9-17 * * mon-fri", "Every 15 minutes from 09:00 to 17:59 from Monday to Friday"),
        ("*/20 */3 * * *", "Every 20 minutes of every 3rd hour"),
        ("*/7 * * * *", "At minutes 0, 7, 14, 21, 28, 35, 42, 49 and 56 of every hour"),
        ("0-30 * * * *", "At minutes 0 to 30 of every hour"),
        ("5 * * * *", "At minute 5 of every hour"),
        ("0 * * * *", "Every hour"),
        ("0 */2 * * *", "Every 2 hours"),
        ("30 */2 * * *", "At minute 30 of every 2nd hour"),
        ("0 1,3,5,7,9,22,23 * * *", "At minute 0 in the hours 1, 3, 5, 7, 9, 22 and 23"),
        ("0 9 * * 1-5", "At 09:00 from Monday to Friday"),
        ("0 9 * * 6,0", "At 09:00 on Saturday and Sunday"),
        ("0 12 * * 0,1,3-5", "At 12:00 on Monday, Wednesday to Friday and Sunday"),
        ("0 22 * * 5L", "At 22:00 on the last Friday of the month"),
        ("0 0 1 * *", "At 00:00 on day 1 of the month"),
        ("0 0 1,15 * *", "At 00:00 on days 1 and 15 of the month"),
        ("0 0 1-7 jun-aug *", "At 00:00 on days 1 to 7 of the month from June to August"),
        ("0 0 L jan,jun *", "At 00:00 on the last day of the month in January and June"),
        ("0 0 13 * fri", "At 00:00 on day 13 of the month or on Friday"),
        ("0 0 * dec *", "At 00:00 every day in December"),
    ],
)
def test_an_expression_is_told_in_english(cron: str, words: str) -> None:
    """SC-21: the description of a schedule's generator."""
    assert describe(cron) == words
