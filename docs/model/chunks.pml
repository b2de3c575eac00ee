/*
 * chunks.pml -- a payload in two chunks, published again by another instance while the first one is still at it, or died between
 * its chunks.  Content differs from attempt to attempt (compression); Kafka keeps the order of one partition and repeats nothing away.
 *
 * Mutants: MIXCHUNK   chunks are put together by number, whatever attempt they are of
 *          FIRSTONLY  the attempt under assembly is never given up
 */
#define NA 3                    /* attempts */
byte q[8]; byte n;              /* the partition: attempt * 2 + chunk, in the order of arrival */
byte died, done, started;
bool republish;

proctype Stage(byte a) {        /* one instance works on the process once */
  atomic { n < 8 -> q[n] = a*2; n++ };
  if
  :: atomic { n < 8 -> q[n] = a*2 + 1; n++ }
  :: atomic { died < 1 -> died++ }              /* killed between the chunks */
  fi
}

active proctype Load() {
  byte r, c, under, i; bool has;
  do
  :: atomic { r < n && !done -> c = q[r]; r++;
       if
#ifdef MIXCHUNK
       :: c % 2 == 0 -> has = true; under = c/2
       :: c % 2 == 1 && has -> assert(c/2 == under); done = 1
#elif defined(FIRSTONLY)
       :: c % 2 == 0 && !has -> has = true; under = c/2
       :: c % 2 == 0 && has
       :: c % 2 == 1 && has && c/2 == under -> done = 1
       :: c % 2 == 1 && has && c/2 != under
#else
       :: c % 2 == 0 -> has = true; under = c/2                 /* the first chunk of an attempt begins it anew */
       :: c % 2 == 1 && has && c/2 == under -> done = 1
       :: c % 2 == 1 && has && c/2 != under                     /* a later chunk of one that lost */
#endif
       :: c % 2 == 1 && !has
       fi }
  od
}

active proctype Select() {      /* overdue: nothing moves */
  do
  :: atomic { started == 0 -> started++; run Stage(0) }
  :: atomic { started == 1 -> started++; run Stage(1) }         /* too early, too: an instance was only slow */
  :: timeout -> if :: !done && started < NA -> started++; run Stage(started - 1) :: else -> assert(done); break fi
  od
}
