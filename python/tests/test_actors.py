"""Spawning, sending, ending, names."""

import asyncio
import gc
import threading

import pytest
from support import Inbox, eventually

import myrmidon
from myrmidon import errors


def test_messages_arrive_once_and_in_order(rt):
    inbox = Inbox()
    pid = rt.spawn(inbox, budget=10)
    sent = [b"%d" % number for number in range(10_000)]
    assert all(rt.send(pid, message) for message in sent)
    eventually(lambda: len(inbox) == len(sent))
    assert inbox == sent


def test_a_local_message_is_the_very_object_that_was_sent(rt):
    inbox = Inbox()
    message = b"not a copy" * 10
    rt.send(rt.spawn(inbox), message)
    eventually(lambda: inbox)
    assert inbox[0] is message


def test_what_could_change_is_copied(rt):
    inbox = Inbox()
    pid = rt.spawn(inbox)
    data = bytearray(b"before")
    rt.send(pid, data)
    rt.send(pid, memoryview(data))
    data[:] = b"after!"
    eventually(lambda: len(inbox) == 2)
    assert inbox == [b"before", b"before"]
    assert all(type(message) is bytes for message in inbox)


@pytest.mark.parametrize("data", ["text", 5, None, object()])
def test_what_is_not_bytes_is_refused_at_the_call(rt, data):
    pid = rt.spawn(Inbox())
    with pytest.raises(TypeError, match="bytes"):
        rt.send(pid, data)


def test_a_handler_that_cannot_be_called_is_refused_at_once(rt):
    with pytest.raises(TypeError, match="callable"):
        rt.spawn("no handler")
    pid = rt.spawn(Inbox())
    with pytest.raises(TypeError, match="callable"):
        rt.hot_swap(pid, None)


def test_a_handler_whose_code_would_not_run_is_refused_at_once(rt):
    async def asynchronous(message):
        yield message

    def generator(message):
        yield message

    for wrong in (asynchronous, generator):
        with pytest.raises(TypeError, match="plain function"):
            rt.spawn(wrong)


def test_a_class_actor_is_no_handler_and_the_error_says_what_to_call(rt):
    class Counter(myrmidon.Actor):
        pass

    class Callable(myrmidon.Actor):
        def __call__(self, message):
            return message

    pid = rt.spawn(print)
    for wrong in (Counter, Counter(), Callable):
        for call in (rt.spawn, rt.spawn_with_mailbox, lambda code: rt.hot_swap(pid, code)):
            with pytest.raises(TypeError, match=r"class actor: rt.start\((Counter|Callable), ...\) starts one"):
                call(wrong)
    assert rt.ask_sync(rt.spawn(Callable()), b"x") == b"x"


def test_a_budget_of_zero_is_refused(rt):
    with pytest.raises(ValueError, match="budget"):
        rt.spawn(Inbox(), budget=0)


def test_pids_are_plain_integers(rt):
    pid = rt.spawn(Inbox())
    assert type(pid) is int
    assert pid > 0


def test_send_to_the_dead_and_the_unknown_is_false(rt):
    pid = rt.spawn(Inbox())
    assert rt.stop(pid)
    rt.join(pid)
    assert not rt.send(pid, b"late")
    assert not rt.send(0, b"nobody")
    assert not rt.send(2**64 - 1, b"nobody")
    assert not rt.stop(pid)
    assert not rt.kill(pid)
    assert not rt.is_alive(pid)
    assert rt.mailbox_size(pid) is None


def test_a_pid_of_another_runtime_is_nobody(make_runtime):
    one, other = make_runtime(), make_runtime()
    pid = one.spawn(Inbox())
    assert not other.send(pid, b"?")
    assert not other.is_alive(pid)


def test_stop_takes_its_place_behind_messages_and_kill_does_not(rt):
    """S41."""
    gate = threading.Event()
    inbox = Inbox()

    def handler(message):
        gate.wait(10)
        inbox.append(message)

    stopped, killed = rt.spawn(handler), rt.spawn(handler)
    for pid in (stopped, killed):
        for number in range(3):
            rt.send(pid, b"%d" % number)
    rt.stop(stopped)
    eventually(lambda: rt.mailbox_size(stopped) == 2)
    rt.kill(killed)
    gate.set()
    assert rt.join(stopped, timeout=10).kind == "normal"
    assert inbox.count(b"2") == 1
    assert rt.join(killed, timeout=10).kind in ("killed", "noproc")
    assert inbox.count(b"2") == 1


def test_join_times_out_with_an_error_that_is_also_a_timeout_error(rt):
    pid = rt.spawn(Inbox())
    with pytest.raises(errors.Timeout, match="stop"):
        rt.join(pid, timeout=0.01)
    with pytest.raises(TimeoutError):
        rt.join(pid, timeout=0)
    with pytest.raises(ValueError, match="seconds"):
        rt.join(pid, timeout=-1)


def test_join_of_the_dead_and_the_unknown_answers_at_once(rt):
    pid = rt.spawn(Inbox())
    rt.kill(pid)
    rt.join(pid)
    assert rt.join(pid).kind == "noproc"
    assert rt.join(0).kind == "noproc"


def test_names_are_registered_found_and_freed(rt):
    inbox = Inbox()
    pid = rt.spawn(inbox)
    rt.register("auth-provider", pid)
    assert rt.resolve("auth-provider") == rt.whereis("auth-provider") == pid
    assert rt.send_named("auth-provider", b"hello")
    eventually(lambda: inbox == [b"hello"])
    assert rt.unregister("auth-provider")
    assert not rt.unregister("auth-provider")
    assert rt.resolve("auth-provider") is None
    assert not rt.send_named("auth-provider", b"hello")


def test_a_living_owner_keeps_its_name_and_a_dead_one_frees_it(rt):
    """S37."""
    first, second = rt.spawn(Inbox(), name="name"), rt.spawn(Inbox())
    with pytest.raises(errors.RegisterError, match="unregister"):
        rt.register("name", second)
    rt.kill(first)
    rt.join(first)
    rt.register("name", second)
    assert rt.whereis("name") == second
    with pytest.raises(errors.NoProcess):
        rt.register("other", first)


@pytest.mark.parametrize("name", ["", "x" * 256, "\0reserved"])
def test_a_name_that_is_no_name_is_refused(rt, name):
    with pytest.raises(errors.RegisterError):
        rt.register(name, rt.spawn(Inbox()))


def test_spawn_under_a_taken_name_leaves_no_actor_behind(rt):
    rt.spawn(Inbox(), name="taken")
    with pytest.raises(errors.RegisterError):
        rt.spawn(Inbox(), name="taken")


def test_actors_are_used_from_many_threads(rt):
    inbox = Inbox()
    pid = rt.spawn(inbox)
    threads = [
        threading.Thread(target=lambda: [rt.send(pid, b"x") for _ in range(1000)]) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    eventually(lambda: len(inbox) == 8000)


def test_handlers_use_the_runtime(rt):
    done = Inbox()
    sink = rt.spawn(done)

    def grow(message):
        if int(message) < 50:
            child = rt.spawn(grow)
            rt.send(child, b"%d" % (int(message) + 1))
        else:
            rt.send(sink, message)

    rt.send(rt.spawn(grow), b"0")
    eventually(lambda: done == [b"50"])


def test_an_actor_that_ended_lets_its_handler_go(rt):
    import weakref

    class Handler:
        def __call__(self, message):
            pass

    handler = Handler()
    gone = weakref.ref(handler)
    pid = rt.spawn(handler)
    rt.send(pid, b"x")
    del handler
    rt.stop(pid)
    rt.join(pid)
    eventually(lambda: gc.collect() is None or gone() is None)
    assert gone() is None


def test_after_shutdown_every_call_says_so():
    rt = myrmidon.Runtime()
    pid = rt.spawn(Inbox())
    assert not rt.closed
    rt.shutdown()
    rt.shutdown()
    assert rt.closed
    for call in (lambda: rt.send(pid, b""), lambda: rt.spawn(Inbox()), lambda: rt.listen("127.0.0.1:0")):
        with pytest.raises(errors.RuntimeClosed, match="new one"):
            call()
    with pytest.raises(errors.RuntimeClosed, match="new one"), rt:
        pass

    async def enter():
        async with rt:
            pass

    with pytest.raises(errors.RuntimeClosed, match="new one"):
        asyncio.run(enter())


def test_the_inner_runtime_has_the_same_methods(rt):
    pid = rt._inner.spawn_observed_handler(10)
    assert rt.send(pid, b"x")
    eventually(lambda: rt._inner.get_messages(pid) == [b"x"])


def test_representations_say_what_a_thing_is(rt):
    assert "tcp" in repr(rt)
    assert repr(rt.join(0)) == "ExitReason('noproc')"
    assert str(rt.join(0)) == "noproc"
    assert rt.join(0) == rt.join(0)
    assert isinstance(myrmidon.version(), str)
    assert myrmidon.version() == myrmidon.__version__


def test_a_runtime_refuses_what_makes_no_sense():
    with pytest.raises(errors.StartError, match="tcp"):
        myrmidon.Runtime(transport="pigeon")
    with pytest.raises(ValueError, match="seconds"):
        myrmidon.Runtime(heartbeat=-1.0)


@pytest.mark.parametrize("workers", [0, 1025, 10**9])
def test_a_number_of_threads_that_no_machine_has_is_refused(workers):
    with pytest.raises(ValueError, match="from 1 to 1024"):
        myrmidon.Runtime(workers=workers)


@pytest.mark.parametrize("clock", ["heartbeat", "down_after", "connect_timeout", "request_timeout"])
def test_a_clock_that_would_let_nothing_succeed_is_refused(clock):
    with pytest.raises(ValueError, match=f"{clock} is longer than 0"):
        myrmidon.Runtime(**{clock: 0.0})


def test_errors_about_actors_say_what_to_do_next(rt):
    pid = rt.spawn(Inbox())
    with pytest.raises(errors.NoHistory, match="swap its code first"):
        rt.rollback(pid)
    rt.stop(pid)
    rt.join(pid)
    with pytest.raises(errors.NoProcess, match="spawn it anew"):
        rt.hot_swap(pid, Inbox())
    with pytest.raises(errors.NoProcess, match="nobody's PID"):
        rt.register("name", 0)


@pytest.mark.parametrize("error", [getattr(errors, name) for name in errors.__all__])
def test_every_error_is_in_the_tree(error):
    assert issubclass(error, errors.MyrmidonError)
    assert error.__doc__


def test_an_observed_actor_that_ended_gives_its_last_messages_once(rt):
    pid = rt.spawn_observed_handler()
    rt.send(pid, b"last")
    rt.stop(pid)
    rt.join(pid)
    assert rt.get_messages(pid) == [b"last"]
    assert rt.get_messages(pid) == []
    assert rt.get_messages(0) == []
    assert rt.get_messages(rt.spawn(Inbox())) == []


def test_a_runtime_whose_object_is_gone_goes_on_while_it_has_actors(make_runtime):
    inbox = Inbox()
    here = make_runtime()

    def start():
        rt = myrmidon.Runtime()
        rt.register("service", rt.spawn(inbox))
        return rt.listen("127.0.0.1:0")

    with pytest.warns(ResourceWarning, match="unclosed"):
        addr = start()
        gc.collect()
    here.send_remote(addr, here.resolve_remote(addr, "service"), b"x")
    eventually(lambda: inbox == [b"x"])


def test_an_async_handler_behind_a_plain_function_is_not_lost_in_silence(rt):
    async def handler(message):
        pass

    pid = rt.spawn(lambda message: handler(message))
    rt.send(pid, b"x")
    reason = rt.join(pid, 10)
    assert reason.kind == "exception"
    assert "returned a coroutine" in reason.message


@pytest.mark.parametrize("number", [0, -1, 2**64, 10**400])
def test_a_number_that_cannot_be_a_pid_is_nobodys(rt, number):
    assert not rt.send(number, b"x")
    assert not rt.is_alive(number)
    assert rt.send_many(number, [b"x"]) == 0
    assert rt.join(number).kind == "noproc"
    assert rt.info(number) is None
    assert not rt.cancel_timer(number)
    assert not myrmidon.free_buffer(number)
    for call in (
        lambda: rt.ask_sync(number, b"x"),
        lambda: rt.hot_swap(number, print),
        lambda: rt.register("name", number),
        lambda: rt.bonds(number),
        lambda: rt.spawn(print, mailbox=myrmidon.Bounded(1, "redirect", redirect_to=number)),
    ):
        with pytest.raises(errors.NoProcess, match="nobody's PID"):
            call()


@pytest.mark.parametrize("number", [-1, 2**32, 2**64, 10**400])
def test_a_count_that_is_out_of_range_is_refused_in_words(rt, number):
    calls = [lambda: rt.spawn(print, budget=number), lambda: rt.spawn_observed_handler(number)]
    if number < 0 or number >= 2**64:
        calls += [
            lambda: rt.top(number),
            lambda: rt.spawn(print, mailbox=myrmidon.Bounded(number)),
            lambda: myrmidon.Buffer(number),
            lambda: myrmidon.Runtime(workers=number),
            lambda: myrmidon.Runtime(level=number),
        ]
    for call in calls:
        with pytest.raises(ValueError, match="number") as raised:
            call()
        assert len(str(raised.value)) < 200


def test_what_is_no_number_is_refused_in_words(rt):
    class Counter(myrmidon.Actor):
        pass

    counter = rt.start(Counter)
    with pytest.raises(TypeError, match="not ActorRef: use its pid"):
        rt.send(counter, b"x")
    with pytest.raises(TypeError, match=r"not str: send_named\(\) sends to a name"):
        rt.send("printer", b"x")
    with pytest.raises(TypeError, match=r"not NoneType: whereis\(\)"):
        rt.send(rt.whereis("nobody"), b"x")
    with pytest.raises(TypeError, match="a Buffer or the number of one"):
        rt.send_buffer(counter.pid, b"bytes")


def test_a_node_that_is_down_before_its_heartbeat_is_refused():
    with pytest.raises(ValueError, match="longer than heartbeat"):
        myrmidon.Runtime(heartbeat=10.0)


def test_a_very_small_number_of_seconds_is_shown_in_few_digits(rt):
    with pytest.raises(ValueError, match="not -1e-300"):
        rt.join(1, timeout=-1e-300)


def test_a_number_that_is_none_is_named(rt):
    for name, call in {
        "budget=-1": lambda: rt.spawn(print, -1),
        "concurrency=-1": lambda: rt.spawn(print, concurrency=-1),
        "capacity=-1": lambda: rt.spawn(print, mailbox=myrmidon.Bounded(-1)),
        "limit=-1": lambda: rt.top(-1),
        "workers=-1": lambda: myrmidon.Runtime(workers=-1),
    }.items():
        with pytest.raises(ValueError, match=f"^{name} is too small or too large a number"):
            call()
    with pytest.raises(TypeError, match=r"^capacity is an int, not 1\.5"):
        rt.spawn(print, mailbox=myrmidon.Bounded(1.5))


def test_memory_that_holds_pointers_is_no_message(rt):
    numpy = pytest.importorskip("numpy")
    pid = rt.spawn(lambda message: message)
    with pytest.raises(TypeError, match="holds pointers to objects"):
        rt.send(pid, numpy.array([object()], dtype=object))
    with pytest.raises(TypeError, match="holds pointers to objects"):
        rt.send(pid, numpy.zeros(2, dtype=[("a", "O"), ("b", "i4")]))
    assert rt.ask_sync(pid, numpy.zeros(2, dtype=[("a", "i4")])) == bytes(8)
