%% The work between two nodes, on Erlang's distribution.
-module(myrmidon_net_peer).
-export([serve/1, drive/1]).

-define(LARGE, 1048576).
-define(PREPARED, 16).
-define(WARM_UP, 200).

%% Prints its port, and waits to be ended.
serve([Port]) ->
    register(count, spawn_opt(fun() -> count(0, 0) end, [{message_queue_data, off_heap}])),
    register(echo, spawn(fun echo/0)),
    io:format("~s~n", [Port]),
    receive after infinity -> ok end.

%% Does the work and prints the figures, if the counts are right.
drive([Work, Amount, Server]) ->
    Node = list_to_atom(Server),
    true = net_kernel:connect_node(Node),
    Figures = work(Work, list_to_integer(Amount), Node),
    [io:format("~w~n", [Figure * 1.0]) || Figure <- Figures],
    halt().

work("small", Amount, Node) ->
    Count = {count, Node},
    check(Count, 0, 0),
    Begun = now_ns(),
    small(Count, 0, Amount),
    check(Count, Amount, Amount * (Amount - 1)),
    [Amount * 1000 / (now_ns() - Begun)];
work("large", Amount, Node) ->
    Count = {count, Node},
    check(Count, 0, 0),
    Messages = list_to_tuple([large(Number) || Number <- lists:seq(0, ?PREPARED - 1)]),
    Begun = now_ns(),
    Sum = large(Count, Messages, 0, Amount, 0),
    check(Count, Amount, Sum),
    [Amount * ?LARGE * 1000 / (now_ns() - Begun)];
work("trip", Amount, Node) ->
    trips({echo, Node}, 1, ?WARM_UP),
    Waits = list_to_tuple(lists:sort(trips({echo, Node}, 1, Amount))),
    [element(max(1, size(Waits) * Percent div 100), Waits) / 1000 || Percent <- [50, 99]].

small(_, All, All) -> ok;
small(Count, Number, All) ->
    Count ! <<Number:64, 0:384, Number:64>>,
    small(Count, Number + 1, All).

large(Number) ->
    list_to_binary([<<Number:64, 0:(4088 * 8 - 64 * (Last div 255))/integer, (tail(Number, Last))/binary>>
                    || Last <- lists:seq(0, 255)]).

tail(Number, 255) -> <<Number:64>>;
tail(_, _) -> <<>>.

large(_, _, All, All, Sum) -> Sum;
large(Count, Messages, Number, All, Sum) ->
    Which = Number rem ?PREPARED,
    Count ! element(Which + 1, Messages),
    large(Count, Messages, Number + 1, All, Sum + Which * 257).

trips(_, Number, All) when Number > All -> [];
trips(Echo, Number, All) ->
    Message = <<Number:64, 0:384, Number:64>>,
    Begun = now_ns(),
    Echo ! {self(), Message},
    receive Message -> ok end,
    Wait = now_ns() - Begun,
    [Wait | trips(Echo, Number + 1, All)].

%% The counting process, which says what has come and begins anew.
count(Count, Sum) ->
    receive
        <<First:64, _:384, Last:64>> -> count(Count + 1, Sum + First + Last);
        Large when is_binary(Large) -> count(Count + 1, Sum + sum(Large));
        {From, told} -> From ! {Count, Sum}, count(0, 0)
    end.

sum(Large) ->
    <<Last:64>> = binary:part(Large, byte_size(Large), -8),
    lists:sum([Number || <<Number:64, _:4088/binary>> <= Large]) + Last.

echo() ->
    receive {From, Message} -> From ! Message, echo() end.

check(Count, Messages, Sum) ->
    Count ! {self(), told},
    receive {Messages, Sum} -> ok;
            Other -> io:format("sent ~w, counted ~w~n", [{Messages, Sum}, Other]), halt(1)
    after 60000 -> io:format("no answer~n"), halt(1)
    end.

now_ns() -> erlang:monotonic_time(nanosecond).
