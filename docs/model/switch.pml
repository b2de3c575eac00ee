/*
 * switch.pml -- media groups: the target fails over to a member that lacks the last commits (B follows A until it is promoted), or is
 * restored from an older state; the source moves to another member.  Zombies go on working on the member that was left.
 *
 * Mutants: ZKBLIND    the fence at the new member knows nothing of ZooKeeper's epochs, and the origin is written over whatever is there
 *          POSMEMORY  the loader takes its own position along to the new member
 *          KEEPSTREAM the stream goes on at the new member under the same epoch
 *          NOACCEPT   a target that went back is gone on with, without a word
 *          BEHIND     a source member that does not have what is applied is read from
 *          BYOFFSET   at the new source member reading begins at the old member's offset
 */
#ifndef N
#define N 3                     /* source transactions of the first source member */
#endif
#define MAXE 6
#define PN (N+2)
#define A 0
#define B 1
#define MAX(a,b) ((a) > (b) -> (a) : (b))

/* target members */
byte F[2], Q[2], X[2];      /* fence, last process, position */
byte rows[2];                   /* ghost: transactions whose rows are there, in order */
byte lastF[2];                  /* ghost: I6 at each member */
byte fromA[2];                  /* ghost: how many of them came from source member A */
bool back;                      /* ghost: the target has less than ZooKeeper knows it had */
bool follows = true;            /* B replicates A */
byte bF, bPid, bPos, bFrom; bool backup, restored, accepted, held;
/* ZooKeeper */
byte tgt = A, src = A;          /* current members */
byte want = 1, oE, oPid, oPos, oTgt, oSrc;
byte owner, used;
/* source: member B has the first `have` transactions of A, and then its own */
byte have = N; bool srcFollows = true;
/* Kafka: content + 1: transaction t of member A is t, one that only B has is 10 + t */
byte pub[MAXE * PN];

#define ITEM(m,t) ((m) == B && (t) >= have -> 10 + (t) : (t))

active proctype Select() {
  byte e, next, p, m, from; bool refused;
  do
  :: atomic { oE > e -> e = oE; next = oPid + 1; p = oPos; m = oSrc; refused = false;
#ifndef BEHIND
       if :: m == B && have < p -> refused = true :: else fi            /* it does not have what is applied: refused by name */
#endif
     }
#ifdef BYOFFSET                 /* B's binlog has one event more in front: the old offset is one transaction too early */
  :: atomic { e && m == B && !refused && p > 0 && from == 0 && next == oPid + 1 -> from = 1; p-- }
#endif
  :: atomic { e && !refused && p < N && next < PN ->
       assert(pub[e*PN+next] == 0);             /* one content per (epoch, processId) */
       pub[e*PN+next] = ITEM(m, p) + 1; next++; p++ }
  od
}

proctype Load() {
  byte my, m, f, exp, p, c; bool fresh;
  do
  :: atomic { my == 0 && owner == 0 && used < 2 -> used++; my = used; owner = my }
  /* an epoch, at the member that is current now */
  :: atomic { my && owner == my && F[tgt] < MAXE-1 && (f == 0 || m != tgt || want > f || (!fresh && (oE != f || oSrc != src))) ->
#ifdef KEEPSTREAM
       if :: f && m != tgt -> m = tgt; F[m] = MAX(F[m], f); f = F[m]; oTgt = m; goto made :: else fi;
#endif
       if
       :: f && m == tgt && F[m] != f -> f = 0; fresh = false            /* fenced */
#ifndef NOACCEPT
       :: !(f && m == tgt && F[m] != f) && oE && oTgt == tgt && F[tgt] < oE && !accepted -> held = true         /* it went back: refused */
       :: !(f && m == tgt && F[m] != f) && !(oE && oTgt == tgt && F[tgt] < oE && !accepted) ->
#else
       :: else ->
#endif
            held = false; assert(!back || accepted);                    /* nothing silent */
#ifdef ZKBLIND
            F[tgt] = F[tgt] + 1;
#else
            F[tgt] = MAX(want-1, F[tgt]) + 1;
#endif
            if :: F[tgt] >= MAXE -> F[tgt] = MAXE-1 :: else fi;
            f = F[tgt]; fresh = true;
#ifdef POSMEMORY
            if :: p == 0 || m == tgt -> exp = Q[tgt] + 1; p = X[tgt] :: else fi;
#else
            exp = Q[tgt] + 1; p = X[tgt];
#endif
            m = tgt
       fi;
made:  skip }
#ifdef ZKBLIND
  :: atomic { my && owner == my && f && fresh -> oE = f; oPid = exp-1; oPos = p; oTgt = m; oSrc = src; fresh = false; want = MAX(want, f) }
#else
  :: atomic { my && owner == my && f && fresh && oE >= f && want <= oE -> want = oE + 1 }
  :: atomic { my && owner == my && f && fresh && oE < f -> oE = f; oPid = exp-1; oPos = p; oTgt = m; oSrc = src; fresh = false; want = MAX(want, f) }
#endif
  /* a unit; a zombie works on the member that it knows */
  :: atomic { my && f && exp < PN && pub[f*PN+exp] && !fresh ->
       c = pub[f*PN+exp] - 1;
       if
#ifdef NOUNIT
       :: F[m] == f ->
#else
       :: F[m] == f && X[m] == p ->             /* WHERE fence = mine AND unit = the one I saw last */
#endif
            assert(f >= lastF[m]); lastF[m] = f;                        /* I6 */
            assert(c % 10 == rows[m]);                                  /* I1 I2 I3 at this member */
            assert(c < 10 || fromA[m] <= have);                         /* nothing on top of what this source does not have */
            if :: c < 10 -> fromA[m]++ :: else fi;
            rows[m]++; X[m]++; Q[m] = exp; exp++; p++
       :: else -> f = 0; fresh = false
       fi; c = 0 }
  :: atomic { my && owner == my && f && (F[m] != f || X[m] != p) -> f = 0; fresh = false }    /* an idle owner, too, writes its slot now and then */
  :: atomic { my && owner != my -> my = 0; f = 0; exp = 0; p = 0; fresh = false; m = 0 }
  od
}

/* a source that lacks what the target has: the two have gone apart; nobody may read on from there */
#define APART (src == B && rows[tgt] > have)

active proctype Env() {
  do
  :: atomic { follows && rows[A] > rows[B] -> rows[B] = rows[A]; X[B] = X[A]; Q[B] = Q[A]; F[B] = F[A]; lastF[B] = lastF[A]; fromA[B] = fromA[A] }
#ifdef TARGET
  :: atomic { tgt == A -> follows = false; tgt = B }                    /* B is promoted, with what it has */
#endif
#ifdef RESTORE
  :: atomic { !backup -> backup = true; bF = F[A]; bPid = Q[A]; bPos = X[A]; bFrom = fromA[A] }
  :: atomic { backup && !restored && tgt == A -> restored = true; follows = false; back = bF < oE;
       F[A] = bF; Q[A] = bPid; X[A] = bPos; rows[A] = bPos; lastF[A] = bF; fromA[A] = bFrom }
  :: atomic { held && !accepted -> accepted = true }                    /* the operator has looked at it */
#endif
#ifdef SOURCE
  :: atomic { src == A -> src = B; if :: have = N :: have = 1 fi }      /* all of A, or not the last of it */
#endif
  :: atomic { owner && used < 2 -> owner = 0 }
  :: timeout ->
       assert(rows[tgt] == N || F[tgt] >= MAXE-1 || APART);             /* I7 */
       break
  od
}

init { atomic { run Load(); run Load() } }
