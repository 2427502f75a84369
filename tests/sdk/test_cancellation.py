import threading

from trigger_lite.sdk.cancellation import Cancellation


def test_listeners_are_called_once_by_the_thread_that_sets_it() -> None:
    cancellation = Cancellation()
    heard: list[int] = []
    assert cancellation.listen(lambda: heard.append(threading.get_ident()))
    thread = threading.Thread(target=cancellation.set)
    thread.start()
    thread.join()
    cancellation.set()
    assert heard == [thread.ident]
    assert cancellation.is_set()


def test_once_it_is_set_nobody_can_listen() -> None:
    cancellation = Cancellation()
    cancellation.set()
    heard: list[int] = []
    assert not cancellation.listen(lambda: heard.append(1))
    assert heard == []


def test_who_stops_listening_knows_whether_it_was_in_time() -> None:
    cancellation = Cancellation()
    heard: list[str] = []

    def first() -> None:
        heard.append("first")

    def second() -> None:
        heard.append("second")

    cancellation.listen(first)
    cancellation.listen(second)
    assert cancellation.unlisten(first)
    cancellation.set()
    assert not cancellation.unlisten(second)
    assert heard == ["second"]


def test_a_listener_may_be_set_off_by_the_code_that_it_watches() -> None:
    cancellation = Cancellation()
    nested: list[bool] = []
    cancellation.listen(lambda: nested.append(cancellation.is_set()))
    cancellation.set()
    assert nested == [True]
