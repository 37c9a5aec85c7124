%% The workloads of the benches crate on Erlang/OTP. Is given names and amounts of work in turn, prints a line
%% of figures for each, and fails where a count is wrong.
-module(myrmidon_peer).
-export([main/1]).

main([]) -> halt(0);
main([Name, Work | Others]) ->
    Figures = lists:flatten([run(Name, list_to_integer(Work))]),
    io:format("~s~n", [lists:join(" ", [io_lib:format("~f", [float(Figure)]) || Figure <- Figures])]),
    main(Others).

%% Nanoseconds for one spawn; each process then handles one message.
run("spawn", N) ->
    Self = self(),
    T0 = erlang:monotonic_time(nanosecond),
    Pids = spawn_all(N, Self, []),
    T1 = erlang:monotonic_time(nanosecond),
    [P ! one || P <- Pids],
    N = await(N),
    (T1 - T0) / N;
%% Bytes of an idle process after one message, as the emulator counts them.
run("memory", N) ->
    Self = self(),
    erlang:garbage_collect(),
    Before = resident(),
    Pids = spawn_all(N, Self, []),
    [P ! one || P <- Pids],
    N = await(N),
    erlang:garbage_collect(),
    (resident() - Before) / N;
run("count", N) ->
    Self = self(),
    Counter = counter(N, Self),
    T0 = erlang:monotonic_time(nanosecond),
    send(Counter, N),
    receive {done, N} -> ok end,
    rate(N, T0);
run("ping-pong", N) ->
    ring(2, N * 2, N);
run("ring", N) ->
    ring(100, N, N);
run("fork-join", N) ->
    Self = self(),
    Turns = N div 60,
    Counters = [counter(Turns, Self) || _ <- lists:seq(1, 60)],
    T0 = erlang:monotonic_time(nanosecond),
    turns(Counters, Turns),
    [receive {done, Turns} -> ok end || _ <- Counters],
    rate(Turns * 60, T0);
run("skynet", N) ->
    Leaves = power(max(N, 10), 1),
    Self = self(),
    T0 = erlang:monotonic_time(nanosecond),
    spawn(fun() -> skynet(Self, 0, Leaves) end),
    Sum = Leaves * (Leaves - 1) div 2,
    receive Sum -> ok end,
    %% Of the whole tree, also where this is a part.
    (erlang:monotonic_time(nanosecond) - T0) / 1.0e9 * 1111111 / ((Leaves * 10 - 1) div 9);
run("bang", N) ->
    Self = self(),
    Each = max(N div 1000, 1),
    Counter = counter(Each * 1000, Self),
    Senders = [spawn(fun() -> receive go -> send(Counter, Each) end end) || _ <- lists:seq(1, 1000)],
    T0 = erlang:monotonic_time(nanosecond),
    [S ! go || S <- Senders],
    Total = Each * 1000,
    receive {done, Total} -> ok end,
    rate(Total, T0);
%% A call as gen_server makes it: a monitor whose reference marks the answer, and a deadline.
run("ask", N) ->
    Self = self(),
    Answerer = spawn(fun answer/0),
    T0 = erlang:monotonic_time(nanosecond),
    spawn(fun() -> Self ! {done, ask(Answerer, 0, N)} end),
    receive {done, N} -> ok end,
    (erlang:monotonic_time(nanosecond) - T0) / N;
%% Nanoseconds for one process that is started, gets a message and ends.
run("create", N) ->
    Self = self(),
    Ended = counter(N, Self),
    T0 = erlang:monotonic_time(nanosecond),
    create(N, Ended),
    receive {done, N} -> ok end,
    (erlang:monotonic_time(nanosecond) - T0) / N;
run("fib", N) ->
    {Nth, Number, Actors} = fib_tree(N, 2, 1, 2),
    Self = self(),
    T0 = erlang:monotonic_time(nanosecond),
    spawn(fun() -> fib(Self, Nth) end),
    receive Number -> ok end,
    (erlang:monotonic_time(nanosecond) - T0) / Actors;
run("chameneos", N) ->
    Self = self(),
    Mall = spawn_opt(fun() -> mall(N, none) end, [{message_queue_data, off_heap}]),
    All = [spawn(fun() -> receive go -> chameneos(Mall, lists:nth(Number rem 3 + 1, [yellow, blue, red]), 0, Self) end end)
           || Number <- lists:seq(0, 99)],
    T0 = erlang:monotonic_time(nanosecond),
    [One ! go || One <- All],
    Met = lists:sum([receive {met, Times} -> Times end || _ <- All]),
    Met = 2 * N,
    (erlang:monotonic_time(nanosecond) - T0) / N;
run("big", N) ->
    Self = self(),
    Each = max(N div 120, 1),
    Pingers = [spawn(fun() -> receive {go, Others} -> pinger(Others, Number, Each, 0, Self) end end)
               || Number <- lists:seq(0, 119)],
    T0 = erlang:monotonic_time(nanosecond),
    [P ! {go, list_to_tuple(Pingers)} || P <- Pingers],
    Answered = lists:sum([receive {answered, Times} -> Times end || _ <- Pingers]),
    Answered = Each * 120,
    rate(2 * Answered, T0);
%% Bytes that an unread message holds when the 62 before it have been read.
run("straggler", N) ->
    Self = self(),
    Reader = counter(N * 62, Self),
    Hoarder = spawn_opt(fun() -> receive never -> ok end end, [{message_queue_data, off_heap}]),
    erlang:garbage_collect(),
    Before = resident(),
    straggle(N, Reader, Hoarder),
    receive {done, _} -> ok end,
    {message_queue_len, N} = process_info(Hoarder, message_queue_len),
    max(resident() - Before, 0) / N;
%% Nanoseconds to arm and to cancel one timer, with N others alive.
run("timers", N) ->
    Self = self(),
    Measured = max(N div 10, 1),
    spawn(fun() ->
        arm(N, Self, 0, []),
        T0 = erlang:monotonic_time(nanosecond),
        Timers = arm(Measured, Self, N, []),
        T1 = erlang:monotonic_time(nanosecond),
        Cancelled = cancel(Timers, 0),
        T2 = erlang:monotonic_time(nanosecond),
        erlang:send_after(1, Self, {rang, Cancelled, (T1 - T0) / Measured, (T2 - T1) / Measured}),
        receive never -> ok end
    end),
    receive {rang, Measured, Arm, Cancel} -> [Arm, Cancel] end;
run("wake-10us", N) -> wake(10, N);
run("wake-100us", N) -> wake(100, N);
run("wake-1ms", N) -> wake(1000, N);
run("wake-10ms", N) -> wake(10000, N);
%% Microseconds that the messages of a thousand processes wait beside one that always has some.
run("fairness", N) ->
    Self = self(),
    Rounds = max(N, 2),
    Greedy = spawn_opt(fun greedy/0, [{message_queue_data, off_heap}]),
    spawn(fun() -> feed(Greedy) end),
    Others = [spawn(fun() -> other([], Rounds, Self) end) || _ <- lists:seq(1, 1000)],
    feed_others(Rounds, Others, erlang:monotonic_time(nanosecond)),
    Waits = lists:append([receive {waits, Of} -> Of end || _ <- Others]),
    Rounds = length(Waits) div 1000,
    percentiles(Waits);
%% Processor time, in per cent of a core, with N idle processes.
run("idle", N) ->
    Self = self(),
    Pids = spawn_all(N, Self, []),
    [P ! one || P <- Pids],
    N = await(N),
    erlang:garbage_collect(),
    Before = processor_time(),
    T0 = erlang:monotonic_time(nanosecond),
    timer:sleep(2000),
    (processor_time() - Before) / (erlang:monotonic_time(nanosecond) - T0) * 100.

answer() -> receive {call, {Pid, Ref}, Number} -> Pid ! {Ref, Number + 1}, answer() end.

ask(_, Asks, Asks) -> Asks;
ask(Answerer, Number, Asks) ->
    Ref = erlang:monitor(process, Answerer),
    Answerer ! {call, {self(), Ref}, Number},
    receive
        {Ref, Next} -> erlang:demonitor(Ref, [flush]), ask(Answerer, Next, Asks)
    after 60000 -> error(timeout)
    end.

create(0, _) -> ok;
create(N, Ended) ->
    spawn(fun() -> receive one -> Ended ! ended end end) ! one,
    create(N - 1, Ended).

fib_tree(Actors, N, Number, Next) when 2 * Next - 1 =< Actors -> fib_tree(Actors, N + 1, Next, Number + Next);
fib_tree(_, N, Number, _) -> {N, Number, 2 * Number - 1}.

fib(Parent, N) when N =< 2 -> Parent ! 1;
fib(Parent, N) ->
    Self = self(),
    spawn(fun() -> fib(Self, N - 1) end),
    spawn(fun() -> fib(Self, N - 2) end),
    Parent ! receive A -> receive B -> A + B end end.

mall(0, none) ->
    receive {visit, _, Visitor} -> Visitor ! closed, mall(0, none) end;
mall(Left, none) ->
    receive {visit, _, Visitor} -> mall(Left, Visitor) end;
mall(Left, Waiting) ->
    receive {visit, Colour, Visitor} -> Waiting ! {meet, Colour, Visitor}, mall(Left - 1, none) end.

chameneos(Mall, Colour, Met, Tell) ->
    Mall ! {visit, Colour, self()},
    receive
        {meet, Other, Pid} ->
            New = complement(Colour, Other),
            Pid ! {change, New},
            chameneos(Mall, New, Met + 1, Tell);
        {change, New} -> chameneos(Mall, New, Met + 1, Tell);
        closed -> Tell ! {met, Met}
    end.

complement(Colour, Colour) -> Colour;
complement(One, Two) -> hd([yellow, blue, red] -- [One, Two]).

pinger(Others, Seed, Left, Answered, Tell) when Left > 0 ->
    Next = (Seed * 1309 + 13849) band 65535,
    element(Next rem 120 + 1, Others) ! {ping, self()},
    pinger(Others, Next, Left - 1, pong(Answered), Tell);
pinger(_, _, 0, Answered, Tell) ->
    Tell ! {answered, Answered},
    pong(Answered).

%% Answers pings until its own is answered.
pong(Answered) ->
    receive
        {ping, From} -> From ! pong, pong(Answered);
        pong -> Answered + 1
    end.

straggle(0, _, _) -> ok;
straggle(N, Reader, Hoarder) -> send(Reader, 62), Hoarder ! N, straggle(N - 1, Reader, Hoarder).

%% One to eleven minutes ahead, so that none is due in this run.
arm(0, _, _, Timers) -> Timers;
arm(N, Pid, Number, Timers) ->
    Timer = erlang:send_after(60000 + Number * 7919 rem 600000, Pid, rang),
    arm(N - 1, Pid, Number + 1, [Timer | Timers]).

cancel([], Cancelled) -> Cancelled;
cancel([Timer | Timers], Cancelled) ->
    case erlang:cancel_timer(Timer) of
        false -> cancel(Timers, Cancelled);
        _ -> cancel(Timers, Cancelled + 1)
    end.

%% The sender has one scheduler and the sleeper another, as a sending thread and a worker have.
wake(Gap, N) ->
    Self = self(),
    Sleeper = spawn_opt(fun sleeper/0, [{scheduler, erlang:system_info(schedulers)}]),
    Told = atomics:new(1, []),
    spawn_opt(fun() -> Self ! {waits, [wake_one(Gap, Sleeper, Told) || _ <- lists:seq(1, N)]} end, [{scheduler, 1}]),
    receive {waits, Waits} when length(Waits) =:= N -> percentiles(Waits) end.

sleeper() ->
    receive
        {Sent, Told} ->
            atomics:put(Told, 1, erlang:monotonic_time(nanosecond) - Sent + 1),
            sleeper()
    end.

wake_one(Gap, Sleeper, Told) ->
    pause(Gap),
    Sleeper ! {erlang:monotonic_time(nanosecond), Told},
    told(Told).

told(Told) ->
    case atomics:exchange(Told, 1, 0) of
        0 -> told(Told);
        Waited -> Waited - 1
    end.

pause(Gap) when Gap >= 1000 -> timer:sleep(Gap div 1000);
pause(Gap) -> spin(erlang:monotonic_time(nanosecond) + Gap * 1000).

spin(Until) ->
    case erlang:monotonic_time(nanosecond) < Until of
        true -> spin(Until);
        false -> ok
    end.

%% Is always busy: each message takes a while, and there are always more.
greedy() -> receive more -> busy(100, 1), greedy() end.

busy(0, X) -> X;
busy(N, X) -> busy(N - 1, (X * 31) bxor N band 16#ffffffff).

feed(Greedy) ->
    {message_queue_len, Waiting} = process_info(Greedy, message_queue_len),
    [Greedy ! more || _ <- lists:seq(Waiting, 20000)],
    timer:sleep(1),
    feed(Greedy).

other(Waits, 0, Tell) -> Tell ! {waits, Waits};
other(Waits, Left, Tell) ->
    receive Sent -> other([erlang:monotonic_time(nanosecond) - Sent | Waits], Left - 1, Tell) end.

feed_others(0, _, _) -> ok;
feed_others(N, Others, Begun) ->
    [Other ! erlang:monotonic_time(nanosecond) || Other <- Others],
    Next = Begun + 1000000,
    timer:sleep(max((Next - erlang:monotonic_time(nanosecond)) div 1000000, 0)),
    feed_others(N - 1, Others, Next).

percentiles(Waits) ->
    Sorted = list_to_tuple(lists:sort(Waits)),
    [element(min(size(Sorted) * P div 100 + 1, size(Sorted)), Sorted) / 1000 || P <- [50, 99]].

%% Nanoseconds that the threads of this emulator have used.
processor_time() ->
    {ok, Tasks} = file:list_dir("/proc/self/task"),
    lists:sum([used("/proc/self/task/" ++ Task ++ "/schedstat") || Task <- Tasks]).

used(File) ->
    case file:read_file(File) of
        {ok, Text} -> [Used | _] = binary:split(Text, <<" ">>), binary_to_integer(Used);
        _ -> 0
    end.

spawn_all(0, _, Pids) -> Pids;
spawn_all(N, Self, Pids) -> spawn_all(N - 1, Self, [spawn(fun() -> idle(Self) end) | Pids]).

idle(Self) ->
    receive one -> Self ! handled end,
    receive never -> ok end.

await(0) -> 0;
await(N) -> receive handled -> 1 + await(N - 1) end.

resident() ->
    {ok, Text} = file:read_file("/proc/self/statm"),
    [_, Pages | _] = binary:split(Text, <<" ">>, [global]),
    binary_to_integer(Pages) * 4096.

counter(All, Tell) ->
    spawn_opt(fun() -> count(0, All, Tell) end, [{message_queue_data, off_heap}]).

count(All, All, Tell) -> Tell ! {done, All};
count(Seen, All, Tell) -> receive _ -> count(Seen + 1, All, Tell) end.

send(_, 0) -> ok;
send(Pid, N) -> Pid ! N, send(Pid, N - 1).

turns(_, 0) -> ok;
turns(Counters, N) -> [C ! N || C <- Counters], turns(Counters, N - 1).

ring(Members, Hops, Work) ->
    Self = self(),
    [First | _] = Pids = [spawn(fun() -> receive {next, P} -> member(P, Hops, Self) end end) || _ <- lists:seq(1, Members)],
    lists:foldr(fun(P, Next) -> P ! {next, Next}, P end, First, Pids),
    T0 = erlang:monotonic_time(nanosecond),
    First ! 0,
    receive {done, Hops} -> ok end,
    (erlang:monotonic_time(nanosecond) - T0) / Work.

member(Next, Hops, Tell) ->
    receive
        Hops -> Tell ! {done, Hops};
        Made -> Next ! Made + 1, member(Next, Hops, Tell)
    end.

power(N, P) when P * 10 =< N -> power(N, P * 10);
power(_, P) -> P.

skynet(Parent, First, 1) -> Parent ! First;
skynet(Parent, First, Leaves) ->
    Self = self(),
    Each = Leaves div 10,
    [spawn(fun() -> skynet(Self, First + C * Each, Each) end) || C <- lists:seq(0, 9)],
    Parent ! lists:sum([receive S -> S end || _ <- lists:seq(1, 10)]).

rate(N, T0) -> N / (erlang:monotonic_time(nanosecond) - T0) * 1000.
