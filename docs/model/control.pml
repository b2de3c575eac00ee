/*
 * control.pml -- the control record: ROLLBACK, RESTART and RESUME as one compare-and-set, initiators that die at any step, retries
 * with a bound, operators, session expiry, ZooKeeper rolled back, load owners that come and go.
 *
 * An epoch is made by the load owner alone, the target first, the origin second.  Time is left out: a retry is due at any moment.
 *
 * Mutants: ORIGINFIRST  origin published before the fence
 *          BYNUMBER     a request is control.epoch + 1 without a look at the origin, the owner does not raise control.epoch
 *          NOHEART      an idle owner does not touch the target
 *          LIFTHOLD     an automatic RESTART lifts a PAUSE that waits for an operator
 *          BLINDWRITE   whoever resumes writes START without comparing the version
 *          NOCOALESCE   a complaint about an epoch that is over already asks for another one
 *          NOBOUND      retries are never given up
 *          DESIREDAUTO  an automatic RESTART also sets the operator's wish to START
 */
#ifndef CR
#define CR 1                    /* deaths of initiators */
#endif
#ifndef US
#define US 2                    /* load sessions in all */
#endif
#ifndef MAXATT
#define MAXATT 1                /* recovery.max_attempts */
#endif
#define TX 2
#ifndef K1
#define K1 ROLLBACK             /* what the initiators ask for */
#endif
#ifndef K2
#define K2 RESTART
#endif
#define GO 1                    /* control START */
#define RETRY 2                 /* control PAUSE with retry_at */
#define HOLD 3                  /* control PAUSE until an operator says so */
#define ROLLBACK 1              /* of network trouble: with retry_at */
#define REFUSE 2                /* of what only an operator can put right */
#define RESTART 3
#define MAX(a,b) ((a) > (b) -> (a) : (b))

/* ZooKeeper */
byte st = GO, epoch = 1, ver = 1, att;
bool wish = true;               /* desired: START (true) or STOP; operators write it */
byte posE = 1, posP;            /* origin */
byte owner, used, zk;           /* load owner's session */
byte sE, sPE, sPP, sSt, sAtt; bool sDone;
/* target */
byte tF = 1, tP;
/* ghosts */
byte live, asked, maxO = 1, crashes, held, served, complaints;
bool stopped, healed;

inline decide(k, about, w, nst, natt) {
  nst = 0; natt = att; w = epoch;
  if
#ifdef NOCOALESCE
  :: false
#else
  :: epoch > about || posE > about                                      /* served already */
#endif
  :: else ->
     if
#ifdef LIFTHOLD
     :: k == RESTART && st != RETRY -> nst = GO
     :: k == RESTART && st == RETRY
#else
     :: k == RESTART && st == GO -> nst = GO
     :: k == RESTART && st != GO                                        /* yields */
#endif
     :: k == ROLLBACK && st == GO ->
#ifdef NOBOUND
          nst = RETRY
#else
          if :: att >= MAXATT -> nst = HOLD :: else -> nst = RETRY; natt = att + 1 fi
#endif
     :: k == ROLLBACK && st != GO                                       /* coalesced, or yields */
     :: k == REFUSE && st != HOLD -> nst = HOLD
     :: k == REFUSE && st == HOLD
     fi;
#ifdef BYNUMBER
     w = epoch + 1
#else
     w = MAX(epoch, posE) + 1
#endif
  fi
}

proctype Initiator(byte k) {
  byte v, w, n, a, g, about;
  /* it complains about the stream that it serves */
  atomic { posE == tF && (st == GO || k == RESTART) && wish -> about = posE; complaints++ }
again:
  atomic { v = ver; g = maxO + 1; decide(k, about, w, n, a); if :: n == 0 -> goto done :: else fi }
  if
  :: atomic { ver == v -> ver++; assert(!(st == HOLD && n != HOLD)); st = n; epoch = w; att = a;
       if :: n == HOLD -> held = 1 :: else fi;
#ifdef DESIREDAUTO
       if :: k == RESTART -> wish = true :: else fi;
#endif
       assert(!(stopped && wish)); asked = MAX(asked, g); served++ }
  :: atomic { ver != v -> goto again }
  :: atomic { crashes < CR -> crashes++ }
  fi;
done: v = 0; w = 0; n = 0; a = 0; g = 0; about = 0
}

/* the manager's leader, or without one the load owner: a retry that is due */
proctype Resumer() {
  byte v; bool due;
  do
  :: atomic { st == RETRY -> v = ver; due = true }
  :: due ->
     if
#ifdef BLINDWRITE
     :: atomic { due = false; assert(st != HOLD); ver++; st = GO }
#else
     :: atomic { ver == v -> due = false; ver++; st = GO }
     :: atomic { ver != v -> due = false }
#endif
     fi
  od
}

proctype Load() {
  byte my, f, p; bool fresh;
  do
  :: atomic { my == 0 && owner == 0 && used < US -> used++; my = used; owner = my }
#ifdef ORIGINFIRST
  :: atomic { my && owner == my && (f == 0 || epoch > f || posE < f) && tF < 12 -> f = MAX(MAX(epoch, posE), tF+1); p = tP; fresh = 1 }
  :: atomic { my && owner == my && fresh && posE < f -> posE = f; posP = p; maxO = MAX(maxO, f) }
  :: atomic { my && f && fresh && posE >= f -> if :: tF < f -> tF = f :: else -> f = 0 fi; fresh = 0 }
#else
  :: atomic { my && (f == 0 || (owner == my && (epoch > f || (!fresh && posE != f)))) && tF < 12 ->    /* make an epoch: the target first */
       if :: f && tF != f -> f = 0; fresh = 0; p = 0                    /* fenced */
          :: else -> tF = MAX(epoch-1, tF) + 1; f = tF; p = tP; fresh = 1 fi }
  :: atomic { my && owner == my && fresh && posE < f -> posE = f; posP = p; fresh = 0; maxO = MAX(maxO, f) }
  :: atomic { my && owner == my && fresh && posE >= f && epoch <= posE -> ver++; epoch = posE + 1 }   /* ZooKeeper knows a newer one */
#endif
#ifndef BYNUMBER
  :: atomic { my && owner == my && f && !fresh && posE == f && epoch < f -> epoch = f; ver++ }
#endif
  /* apply the stream that begins at the origin; what is in flight when control says PAUSE may still come */
  :: atomic { my && f && !fresh && posE == f && st == GO && wish && tP < TX ->
       if :: tF == f -> assert(f >= live); live = f; tP++ :: else -> f = 0 fi }
#ifndef NOHEART
  :: atomic { my && owner == my && f && tF != f -> f = 0; fresh = 0; p = 0 }    /* an idle owner, too, writes its slot now and then */
#endif
  :: atomic { my && owner != my -> my = 0; f = 0; p = 0; fresh = 0 }
  od
}

/* select starts from the origin; what it will send begins there */
active proctype Select() {
  byte e;
  do
  :: atomic { st == GO && wish && posE > e -> e = posE; assert(posE != tF || posP <= tP);
       assert(!(posE == tF && live < posE) || posP == tP) }             /* nothing committed between position and fence */
  od
}

active proctype Env() {
  do
  :: atomic { owner && used < US -> owner = 0 }
#ifdef ZR
  :: atomic { !sDone -> sDone = 1; sE = epoch; sPE = posE; sPP = posP; sSt = st; sAtt = att }
  :: atomic { sDone && zk == 0 && used < US -> zk = 1; epoch = sE; posE = sPE; posP = sPP; st = sSt; att = sAtt; owner = 0; ver++ }
#endif
  :: timeout ->
       assert(posE == tF && epoch <= tF);                               /* an origin for the newest epoch is there */
       assert(maxO >= asked);                                           /* the last request was served */
       assert(st != RETRY);                                             /* a retry is carried out */
#ifndef ZR
       assert(served <= 1 || complaints > 1);                           /* one trouble, one request */
#endif
       assert(!wish || st != GO || tP == TX); break
  od
}

#ifdef OPER
active proctype Operator() { atomic { wish = false; stopped = true } }
#endif

#ifdef STORM                    /* both complain about one and the same epoch: one new epoch has to do */
active proctype Storm() { byte n; do :: atomic { complaints == 2 && served > n && maxO == 1 -> n = served; assert(served <= 1) } od }
#endif

#ifdef BOUND                    /* trouble that does not end by itself */
active proctype Trouble() {
  byte v, w, n, a, about, rounds;
  do
  :: atomic { st == GO && rounds < MAXATT + 3 && posE == tF -> rounds++; about = MAX(epoch, posE); v = ver; decide(ROLLBACK, about, w, n, a);
       if :: n -> ver++; st = n; epoch = w; att = a :: else fi; v = 0; w = 0; n = 0; a = 0; about = 0;
       assert(rounds <= MAXATT + 1) }                                   /* then an operator is asked */
  od
}
init { atomic { run Load(); run Resumer() } }
#else
init { atomic { run Load(); run Load(); run Resumer(); run Initiator(K1); run Initiator(K2) } }
#endif
