/// The project's own conformance cases, in the language of the larger set, so that a clone without that is tested too.
///
/// A case is a specification and steps: `e TIME KEY VALUE` adds an event, `w TIME` moves the watermark, `now TIME` the
/// clock; `e@PARTITION` feeds a partition whose watermark is its own, `A:` an instance that shares a store. What a step
/// must emit follows `=>`.
enum OwnCases {
    static let text = """
        - **T01** `win=tumbling:60000` a minute begins on the minute
          `e 59999 chat 1; e 60000 chat 2; w 119999 => [0,60000) chat n=1 s=1 ontime & [60000,120000) chat n=1 s=2 ontime`
        - **T02** `win=tumbling:60 L=30` a late event counts until the lateness has passed, and is told apart after it
          `e 5 a 1; w 59 => [0,60) a n=1 s=1 ontime; e 7 a 2 => [0,60) a n=2 s=3 late; w 89; e 8 a 4 => LATE 8 a 4`
        - **T03** `win=hop:60:20` an event is in three windows and is added once to each
          `e 70 a 5; w 79 => [20,80) a n=1 s=5 ontime; w 99 => [40,100) a n=1 s=5 ontime; w max => [60,120) a n=1 s=5 ontime`
        - **T04** `win=hop:60:20 L=20` a late event changes the windows that have fired and not yet closed
          `e 70 a 5; w 99 => [20,80) a n=1 s=5 ontime & [40,100) a n=1 s=5 ontime; e 65 a 1 => [40,100) a n=2 s=6 late; w 119 => [60,120) a n=2 s=6 ontime`
        - **T05** `win=hop:20:60` events between sampled windows belong to none
          `e 10 a 1; e 30 a 2 => UNASSIGNED 30 a 2; e 60 a 4; w max => [0,20) a n=1 s=1 ontime & [60,80) a n=1 s=4 ontime`
        - **T06** `win=session:30` an event that bridges two sessions makes them one
          `e 0 u 1; e 50 u 2; e 25 u 4; w max => [0,80) u n=3 s=7 ontime`
        - **T07** `win=session:30` a gap of exactly the length separates, whatever the order
          `e 30 u 1; e 0 u 2; w max => [0,30) u n=1 s=2 ontime & [30,60) u n=1 s=1 ontime`
        - **T08** `win=session:30 L=100` a session that grows late takes its former result back
          `e 0 u 1; w 40 => [0,30) u n=1 s=1 ontime; e 20 u 2 => RETRACT [0,30) u; w 49 => [0,50) u n=2 s=3 ontime`
        - **T09** `win=tumbling:60 early=count:3 show=pane` early panes by count, then the whole
          `e 1 a 1; e 2 a 1; e 3 a 1 => [0,60) a n=3 s=3 early #0; e 4 a 1; w 59 => [0,60) a n=4 s=4 ontime #1`
        - **T10** `win=tumbling:60 early=proc:10 mode=disc show=pane` panes by the clock that hold only what is new
          `now 0; e 1 a 1; now 9; now 10 => [0,60) a n=1 s=1 early #0; e 2 a 2; w 59 => [0,60) a n=1 s=2 ontime #1`
        - **T11** `win=hop:40:20 mode=disc` sliding windows with panes that add up
          `e 25 a 1; w 39 => [0,40) a n=1 s=1 ontime; e 30 a 2; w 59 => [20,60) a n=2 s=3 ontime`
        - **T12** `win=tumbling:10 B=5 show=wm` the watermark is the largest time less the bound less one
          `assign p; e@p 20 a 1 => WM 14; e@p 18 a 2; e@p 26 a 4 => WM 20 & [10,20) a n=1 s=2 ontime`
        - **T13** `win=tumbling:10 B=0 idle=100 show=wm` a silent partition stops holding the others back
          `now 0; assign p; assign q; e@p 15 a 1; now 60; e@p 22 a 2; now 100 => IDLE q & WM 21 & [10,20) a n=1 s=1 ontime`
        - **T14** `win=tumbling:1000 B=0 align=50 show=wm` a partition too far ahead is paused until the others follow
          `assign p; assign q; e@p 10 a 1; e@q 5 a 1 => WM 4; e@p 70 a 1 => PAUSE p; e@q 30 a 1 => RESUME p & WM 29`
        - **T15** `win=tumbling:10 B=0` a killed worker's successor counts once what was stored and what was not
          `A: assign p0 => START p0 off=0; A: e@p0:0 1 a 1; A: ckpt => COMMIT p0 off=1; A: e@p0:1 2 a 2; A: crash; B: assign p0 => START p0 off=1; B: e@p0:1 2 a 2; B: e@p0:2 11 a 4; B: ckpt => [0,10) a n=2 s=3 ontime & COMMIT p0 off=3`
        - **T16** `win=session:10 B=0` a session goes on over a hand-over
          `A: assign p0 => START p0 off=0; A: e@p0:0 1 u 1; A: revoke p0 => COMMIT p0 off=1; B: assign p0 => START p0 off=1; B: e@p0:1 8 u 2; B: e@p0:2 40 u 4; B: ckpt => [1,18) u n=2 s=3 ontime & COMMIT p0 off=3`
        - **T17** `win=tumbling:10 B=0` who was replaced stores nothing
          `A: assign p0 => START p0 off=0; A: e@p0:0 1 a 1; B: assign p0 => START p0 off=0; A: ckpt => FENCED p0; B: e@p0:0 1 a 1; B: e@p0:1 12 a 2; B: ckpt => [0,10) a n=1 s=1 ontime & COMMIT p0 off=2`
        - **T18** `win=hop:3600001:1` a window of too many panes is refused
          `spec => ERROR`
        - **T19** `win=session:10 mode=disc` sessions that could not be taken back are refused
          `spec => ERROR`
        """
}
