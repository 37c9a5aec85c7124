%% The workloads of the benches crate on Erlang/OTP. Prints one figure, or fails where a count is wrong.
-module(myrmidon_peer).
-export([main/1]).

main([Name, Work]) ->
    Figure = run(Name, list_to_integer(Work)),
    io:format("~f~n", [float(Figure)]),
    halt(0).

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
    (erlang:monotonic_time(nanosecond) - T0) / 1.0e9;
run("bang", N) ->
    Self = self(),
    Each = max(N div 1000, 1),
    Counter = counter(Each * 1000, Self),
    Senders = [spawn(fun() -> receive go -> send(Counter, Each) end end) || _ <- lists:seq(1, 1000)],
    T0 = erlang:monotonic_time(nanosecond),
    [S ! go || S <- Senders],
    Total = Each * 1000,
    receive {done, Total} -> ok end,
    rate(Total, T0).

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
