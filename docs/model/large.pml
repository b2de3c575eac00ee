/*
 * large.pml -- transactions larger than the window, consumed and applied termins, PAUSE, publishing again, a unit that is too large to
 * be kept for a second attempt, a binlog connection that drops.  Owners and fences are in stream.pml; here an epoch changes in one step.
 *
 * The source is a row of pieces; a transaction is one or more of them.  A process carries one piece (whole small transactions in one
 * process change nothing here).  Kafka is the set of all messages ever published.
 *
 * Mutants: CREDITAPPLIED  window credit only for what is committed
 *          STALETERMIN    a termin of another epoch is credited
 *          COMMITPIECE    a unit may end inside a transaction
 *          POSCONSUMED    the position moves by what is consumed
 *          FORGETRETRY    a unit that was not kept whole is tried again from what was kept
 *          CUTANEW        the binlog is read again from the transaction's begin under the same epoch
 *          PAUSEHARD      PAUSE stops select inside a transaction
 *          DUPAPPLY       load takes what it was sent again
 *          NEWCONTENT     what is overdue is cut anew instead of sent again byte for byte
 */
#ifndef W
#define W 1
#endif
#define P 5                     /* pieces: one small transaction, one of three pieces, one small one */
#define END 25                  /* bit set of pieces that end a transaction: 0, 3, 4 */
#define IN(p) ((p) > 0 && (p) < P && !(END & (1 << ((p)-1))))    /* p is inside a transaction */
#ifndef KEEP
#define KEEP 2                  /* pieces that a unit keeps for a second attempt */
#endif
#ifndef RS
#define RS 1                    /* epochs asked for from outside (RESTART, take-over) */
#endif
#ifndef RB
#define RB 1                    /* units rolled back by the target (deadlock) */
#endif
#ifndef DR
#define DR 1                    /* binlog connections lost */
#endif
#define MAXE 5
#define PN 9
#define MAX(a,b) ((a) > (b) -> (a) : (b))

byte tE = 1, tPid, tPos;        /* target: epoch, last process wholly applied, position (in pieces, at the end of a transaction) */
byte oE = 1, oPid, oPos;        /* origin */
byte want = 1;
byte pub[MAXE * PN];            /* content + 1 */
byte cons[MAXE], appl[MAXE];    /* termins: highest processId told */
byte trueCons[MAXE];            /* ghost: what load has really consumed */
bool permit = true;
byte rs, rb, dr, re;
byte hn;                        /* pieces executed in the open unit */
byte applied;                   /* ghost: pieces whose rows are in the target */
bool bad;

active proctype Select() {
  byte e, next, pos, cred, inflight;
  do
  :: atomic { oE > e -> e = oE; next = oPid + 1; pos = oPos; cred = oPid }
#ifdef PAUSEHARD
  :: atomic { e && permit && pos < P && next - 1 - cred < W ->
#else
  :: atomic { e && (permit || IN(pos)) && pos < P && next - 1 - cred < W ->     /* the rest of a transaction also in PAUSE */
#endif
#ifndef CUTANEW
#ifndef NEWCONTENT
       assert(pub[e*PN+next] == 0);             /* one content per (epoch, processId) */
#endif
#endif
       pub[e*PN+next] = pos + 1; next++; pos++;
#ifndef CUTANEW
       assert(next - 1 - trueCons[e] <= W || trueCons[e] < oPid)                /* I9: the window */
#endif
     }
#ifdef CREDITAPPLIED
  :: atomic { e && appl[e] > cred -> cred = appl[e] }
#else
#ifdef STALETERMIN
  :: atomic { e > 1 && cons[e-1] > cred && cons[e-1] < next -> cred = cons[e-1] }
#endif
  :: atomic { e && cons[e] > cred -> cred = cons[e] }
#endif
  /* the binlog connection drops: outside of a transaction it is opened again after the last cut */
  :: atomic { e && dr < DR && IN(pos) -> dr++;
#ifdef CUTANEW
       do :: IN(pos) -> pos-- :: else -> break od
#else
       want = MAX(want, e) + 1
#endif
     }
#ifdef NEWCONTENT               /* overdue: the oldest un-credited processes are cut into one */
  :: atomic { e && re == 0 && next - 1 > cred + 0 && pos < P && !IN(pos) && pub[e*PN+next-1] == pos -> re = 1; pub[e*PN+next-1] = pos + 1; pos++ }
#endif
  od
}

active proctype Load() {
  byte e = 1, exp = 1, c, kept;
  do
  /* a new epoch: everything in hand is dropped, the position is the target's */
  :: atomic { want > e && tE < MAXE-1 ->
#ifdef POSCONSUMED
       tPid = exp - 1; tPos = tPos + hn;
#endif
       tE++; e = tE; want = MAX(want, e); exp = tPid + 1; hn = 0; bad = false; kept = 0; oPid = tPid; oPos = tPos; oE = e }
  /* receive and execute the next process */
#ifdef DUPAPPLY
  :: atomic { hn && pub[e*PN+exp-1] && re == 0 -> re = 1; c = pub[e*PN+exp-1] - 1; if :: c != tPos + hn -> bad = true :: else fi; hn++; c = 0 }
#endif
  :: atomic { exp < PN && pub[e*PN+exp] && oE == e && !(hn && (END & (1 << (tPos + hn - 1)))) ->
       c = pub[e*PN+exp] - 1;
       if :: c != tPos + hn -> bad = true :: else fi;
       hn++; exp++; trueCons[e] = MAX(trueCons[e], exp - 1); c = 0;
       if :: kept < KEEP -> kept++ :: else fi }
  /* commit: rows, checkpoint and fence in one */
#ifdef COMMITPIECE
  :: atomic { hn ->
#else
  :: atomic { hn && (END & (1 << (tPos + hn - 1))) ->
#endif
       assert(!bad && applied == tPos);         /* I1 I2 I3: exactly the source's pieces, in order */
       assert(END & (1 << (tPos + hn - 1)));    /* I4 */
       tPos = tPos + hn; applied = tPos; tPid = exp - 1; hn = 0; kept = 0 }
  /* the target rolls the unit back: again from what is kept, or from the source when it was not kept whole */
  :: atomic { hn && rb < RB -> rb++;
#ifdef FORGETRETRY
       if :: hn > kept -> bad = true :: else fi
#else
       if :: hn > kept -> want = MAX(want, e) + 1; hn = 0; kept = 0; bad = false; exp = tPid + 1; goto forgot :: else fi
#endif
     }
  /* termins: cumulative, sent again and again */
  :: atomic { cons[e] < exp - 1 -> cons[e] = exp - 1 }
  :: atomic { appl[e] < tPid -> appl[e] = tPid }
  od;
forgot:                         /* nothing more is taken under this epoch */
  atomic { want > e && tE < MAXE-1 -> tE++; e = tE; want = MAX(want, e); exp = tPid + 1; oPid = tPid; oPos = tPos; oE = e };
  do
  :: atomic { want > e && tE < MAXE-1 -> tE++; e = tE; want = MAX(want, e); exp = tPid + 1; hn = 0; bad = false; oPid = tPid; oPos = tPos; oE = e }
  :: atomic { exp < PN && pub[e*PN+exp] && oE == e && !(hn && (END & (1 << (tPos + hn - 1)))) ->
       c = pub[e*PN+exp] - 1; if :: c != tPos + hn -> bad = true :: else fi; hn++; exp++; trueCons[e] = MAX(trueCons[e], exp - 1); c = 0 }
  :: atomic { hn && (END & (1 << (tPos + hn - 1))) -> assert(!bad && applied == tPos); tPos = tPos + hn; applied = tPos; tPid = exp - 1; hn = 0 }
  :: atomic { cons[e] < exp - 1 -> cons[e] = exp - 1 }
  :: atomic { appl[e] < tPid -> appl[e] = tPid }
  od
}

active proctype Env() {
  do
  :: atomic { rs < RS -> rs++; want = MAX(want, oE) + 1 }
#ifdef PAUSE
  :: atomic { permit -> permit = false }        /* once, for good */
#endif
  :: timeout ->
       assert(tPos == P || tE >= MAXE-1 || !permit);    /* I7: it gets there with any window */
       assert(hn == 0 || tE >= MAXE-1);                 /* no unit is left open, in PAUSE either */
       break
  od
}
