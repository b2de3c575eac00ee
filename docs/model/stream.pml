/*
 * stream.pml -- epochs, select and load take-over, Kafka, ZooKeeper loss.  order: strict, one slot, a target transaction is
 * one step (commit.pml opens it up, ring.pml has the ring).
 *
 * Kafka is the set of all messages ever published: a stage may receive any of them, at any time, as often as it likes (delay,
 * duplicate, reorder, stale for ever); never receiving one is loss.  pub[epoch][pid] is a bit set of contents (from, length).
 *
 * An epoch is made only in the target, by the load owner; the origin record {epoch, pid, pos, select session} says which select
 * session publishes it.  What carries each rule out is listed in README.md.
 *
 * Mutants (-D): NOFENCE SPLITCKPT STALEEPOCH POSFIRST EARLYACK NONAME REREAD STANDDOWN NOREACK ZKMINT
 */
#ifndef N
#define N 3                     /* source transactions */
#endif
#ifndef SS
#define SS 2                    /* select sessions in all */
#endif
#ifndef LS
#define LS 2                    /* load sessions in all */
#endif
#ifndef RQ
#define RQ 0                    /* ROLLBACK / RESTART requests from outside */
#endif
#ifndef ZR
#define ZR 0                    /* ZooKeeper wiped or rolled back */
#endif
#ifndef KL
#define KL 0                    /* Kafka loses a message */
#endif
#ifndef W
#define W 2                     /* window */
#endif
#ifndef MAXE
#define MAXE 8
#endif
#define PN (N+1)
#ifdef POSFIRST
#define GOT got
#else
#define GOT true
#endif
#define MAX(a,b) ((a) > (b) -> (a) : (b))

/* target */
byte tF = 1, tS = 1, tPid, tPos;        /* fence, stream, last whole processId, position */
byte applied;                           /* ground truth: transactions whose rows are in the target, in order */
byte lastF, lastS, lastPid;             /* ghost: last commit, for I5 and I6 */
/* ZooKeeper */
byte selOwner, loadOwner;               /* sessions; 0 = no owner */
byte want = 1;                          /* control.epoch */
byte oE, oPid, oPos, oSel;              /* origin record */
byte sWant, sE, sPid, sPos, sSel, sDone;/* a snapshot of ZooKeeper */
/* Kafka */
byte pub[MAXE * PN];
byte termin[MAXE];
byte lostE, lostP;
#ifdef EARLYACK
byte aPid, aPos;                        /* acknowledged */
#define TRUST if :: aPos > pos -> exp = aPid+1; pos = aPos :: else fi;
#else
#define TRUST
#endif
/* budgets */
byte sUsed, lUsed, rq, zr, kl;

#define HAS(p,c) (pub[s*PN+(p)] & (1 << (c)))

proctype Sel() {
  byte my, e, next, pos, acked, n;
  do
  :: atomic { my == 0 && selOwner == 0 && sUsed < SS -> sUsed++; my = sUsed; selOwner = my; e = 0; }
#ifdef NONAME                   /* an epoch does not name the select which may use it */
  :: atomic { my && selOwner == my && oE > e -> e = oE; next = oPid+1; pos = oPos; acked = oPid; }
#else
  :: atomic { my && selOwner == my && oSel == my && oE > e -> e = oE; next = oPid+1; pos = oPos; acked = oPid; }
#endif
#ifdef REREAD                   /* the binlog connection broke: read again from the last acknowledged position, same epoch */
  :: atomic { e && acked == oPid && oE == e && selOwner == my && next > oPid+1 -> next = oPid+1; pos = oPos; }
#endif
  :: atomic { e && pos < N && next - acked <= W ->
       if :: n = 1 :: pos + 2 <= N -> n = 2 fi;
#if !defined(NONAME) && !defined(REREAD) && !defined(ZKMINT)
       assert(pub[e*PN+next] == 0);     /* one content per (epoch, processId) */
#endif
       pub[e*PN+next] = pub[e*PN+next] | (1 << (pos*2+n-1));
       next++; pos = pos + n; n = 0; }
  :: atomic { e && termin[e] > acked -> acked = termin[e]; }
  :: atomic { my && selOwner != my -> my = 0; e = 0; next = 0; pos = 0; acked = 0; }   /* it notices, at any time */
  od
}

proctype Load() {
  byte my, f, s, exp, pos, sel;         /* session, fence, stream, expected pid, position */
  byte hb, hl, hp, n;                   /* batch in hand: from, length left, pid */
  byte fresh;                           /* I minted s and have not yet published its origin */
#ifdef STALEEPOCH
  byte keep;
#endif
  byte half;                            /* SPLITCKPT: rows done, checkpoint not */
#ifdef POSFIRST
  byte gp, gq, got;
#endif
  do
  :: atomic { my == 0 && loadOwner == 0 && lUsed < LS -> lUsed++; my = lUsed; loadOwner = my; f = 0; }
#ifdef POSFIRST                 /* read the position, raise the fence later */
  :: atomic { my && f == 0 && !got -> gp = tPid; gq = tPos; got = 1; }
#endif
  :: atomic { my && f == 0 && tF < MAXE-1 && GOT ->     /* take-over: one target transaction */
       tF = MAX(want-1, tF) + 1;
       if :: tF >= MAXE -> tF = MAXE-1 :: else fi;
       f = tF;
       tS = tF; fresh = 1;
       s = tS; exp = tPid+1; pos = tPos; sel = selOwner; hl = 0; hb = 0; hp = 0;
#ifdef POSFIRST
       exp = gp+1; pos = gq; got = 0; gp = 0; gq = 0;
#endif
       TRUST }
  :: atomic { my && f && fresh && loadOwner == my && sel == 0 && selOwner -> sel = selOwner; }
  :: atomic { my && f && fresh && loadOwner == my && oE >= s && want <= oE -> want = oE + 1; }  /* ZooKeeper knows a newer one */
  :: atomic { my && f && fresh && loadOwner == my && sel && oE < s ->   /* publish the origin once, by compare-and-set */
       oE = s; oPid = exp-1; oPos = pos; oSel = sel; fresh = 0; want = MAX(want, s); }
  :: atomic { my && f && loadOwner == my && half == 0 && tF < MAXE-1 &&
#ifdef NONAME
       (want > s || (!fresh && oE != s)) ->
#else
       (want > s || (!fresh && (oE != s || (selOwner && selOwner != oSel)))) ->
#endif
#ifdef ZKMINT                   /* the new epoch is made in ZooKeeper, the fence is not raised */
       if :: tF == f -> s = MAX(s, MAX(want, oE)) + 1; want = MAX(want, s);
             if :: s >= MAXE -> s = MAXE-1 :: else fi;
             exp = tPid+1; pos = tPos; sel = selOwner; fresh = 1; hl = 0; hb = 0; hp = 0;
#else
       if :: tF == f -> tF = MAX(want-1, tF) + 1;
             if :: tF >= MAXE -> tF = MAXE-1 :: else fi;
             f = tF; tS = tF; s = tS; exp = tPid+1; pos = tPos; sel = selOwner; fresh = 1; hl = 0; hb = 0; hp = 0;
#endif
          :: else -> f = 0
       fi }
  /* receive: any message that was ever published */
#ifdef STALEEPOCH
#define AVAIL (pub[1*PN+exp] || pub[2*PN+exp] || pub[3*PN+exp] || pub[4*PN+exp])
#else
#define AVAIL (pub[s*PN+exp])
#endif
  :: atomic { my && f && hl == 0 && exp <= N && AVAIL ->
#ifdef STALEEPOCH
       keep = s;
       if :: pub[1*PN+exp] -> s = 1 :: pub[2*PN+exp] -> s = 2 :: pub[3*PN+exp] -> s = 3 :: pub[4*PN+exp] -> s = 4 fi;
#endif
       hp = exp;
       if
       :: HAS(hp,0) -> hb = 0; hl = 1;
       :: HAS(hp,1) -> hb = 0; hl = 2;
       :: HAS(hp,2) -> hb = 1; hl = 1;
       :: HAS(hp,3) -> hb = 1; hl = 2;
       :: HAS(hp,4) -> hb = 2; hl = 1;
#if N > 3
       :: HAS(hp,5) -> hb = 2; hl = 2;
       :: HAS(hp,6) -> hb = 3; hl = 1;
#endif
       fi;
#ifdef STALEEPOCH
       s = keep; keep = 0;
#endif
     }
  /* commit a unit: the whole rest of the batch or its first transaction */
  :: atomic { my && hl && half == 0 ->
       if :: n = hl :: hl == 2 -> n = 1 fi;
       if
#ifdef NOFENCE
       :: true ->
#else
       :: tF == f ->
#endif
          assert(hb >= applied);                /* I2: nothing twice, I3: nothing back in time */
          assert(hb <= applied);                /* I1: nothing left out */
          assert(f >= lastF);                   /* I6 */
          assert(s > lastS || (s == lastS && hp >= lastPid));   /* I5 */
          lastF = f; lastS = s; lastPid = hp;
          applied = hb + n;
#ifdef SPLITCKPT
          half = n;
#else
          hb = hb + n; hl = hl - n; pos = hb; tPos = pos;
          if :: hl == 0 -> tPid = hp; exp = hp+1; hp = 0; hb = 0; :: else -> tPid = hp-1 fi;
#endif
       :: else -> f = 0; hl = 0; hb = 0; hp = 0; exp = 0; pos = 0; s = 0; fresh = 0; sel = 0;  /* fenced */
#ifdef STANDDOWN                /* a fenced owner just stands down and keeps its znode */
          my = 99;
#endif
       fi; n = 0; }
#ifdef SPLITCKPT
  :: atomic { half -> n = half; hb = hb + n; hl = hl - n; pos = hb;
       if :: tF == f -> tPos = pos; if :: hl == 0 -> tPid = hp; exp = hp+1 :: else -> tPid = hp-1 fi; :: else fi;
       half = 0; n = 0; }
#endif
#ifdef NOREACK
  :: atomic { my && f && hl == 0 && lastPid == exp-1 && lastF == f && s && termin[s] < exp-1 -> termin[s] = exp-1; }
#else
  :: atomic { my && f && s && exp && termin[s] < exp-1 -> termin[s] = exp-1; }       /* cumulative, sent again and again */
#endif
#ifdef EARLYACK                 /* acknowledged when received; a restart trusts what was acknowledged */
  :: atomic { my && f && hl && aPos < hb+hl -> aPid = hp; aPos = hb+hl; }
#endif
#if KL > 0
  :: atomic { my && f && loadOwner == my && lostE && lostE == s && lostP == exp && hl == 0 && want <= s -> want = s+1; lostE = 0; lostP = 0; }
#endif
  :: atomic { my && loadOwner != my && my != 99 ->  /* it notices that it is no longer the owner, at any time */
       my = 0; f = 0; s = 0; exp = 0; pos = 0; hb = 0; hl = 0; hp = 0; sel = 0; fresh = 0; half = 0; n = 0; }
  od
}

active proctype Env() {
  do
  :: atomic { selOwner && sUsed < SS -> selOwner = 0; }                 /* sessions expire, their owners do not know */
  :: atomic { loadOwner && lUsed < LS -> loadOwner = 0; }
#if RQ > 0
  :: atomic { rq < RQ -> rq++; want = MAX(want, oE) + 1; if :: want >= MAXE -> want = MAXE-1 :: else fi; }
#endif
#if ZR > 0
  :: atomic { !sDone -> sDone = 1; sWant = want; sE = oE; sPid = oPid; sPos = oPos; sSel = oSel; }
  :: atomic { sDone && zr < ZR && sUsed < SS && lUsed < LS -> zr++;
       want = sWant; oE = sE; oPid = sPid; oPos = sPos; oSel = sSel; selOwner = 0; loadOwner = 0; }
#endif
#if KL > 0
  :: atomic { kl < KL && tS == oE -> byte p = 1; do :: p < N -> p++ :: break od;
       if :: pub[tS*PN+p] && p > tPid -> pub[tS*PN+p] = 0; lostE = tS; lostP = p; kl++; :: else fi; p = 0; }
#endif
#ifdef LIVE
  :: timeout -> assert(applied == N || tF == MAXE-1); break
#endif
  od
}

init { atomic { run Sel(); run Sel(); run Load(); run Load(); } }
