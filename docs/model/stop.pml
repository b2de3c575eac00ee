/*
 * stop.pml -- DDL on a synchronised table: everything before it is applied, nothing behind it, an operator does it at the target and
 * says so by resolved_until.  Epochs change under it at any time.
 *
 * Mutants: NODRAIN   select asks for the stop before everything in front of the statement is applied
 *          PASSDDL   the statement is passed like one that concerns nobody
 *          AUTORETRY the stop is lifted by itself, and what stopped it is taken for done
 *          AHEAD     resolved_until passes the statement that follows, too
 */
#define N 4                     /* items of the source; item 1 and item 3 are DDL, 0 and 2 are rows, 4 is a row */
#define ISDDL(i) ((i) == 1 || (i) == 3)
#define LAST 4
#ifndef RS
#define RS 2
#endif
byte e = 1, want = 1;           /* epoch of the origin; control.epoch */
byte tPos;                      /* target: items dealt with */
byte resolved;                  /* items below it that are DDL have been done by hand */
byte ddl;                       /* ghost: bit set of DDL done at the target */
bool hold; byte at;             /* control PAUSE without retry_at, and for which item */
byte pub;                       /* items published in this epoch: up to pub */
byte start;                     /* where this epoch began */
byte rs;

active proctype Select() {
  byte my, pos;
  do
  :: atomic { !hold && e > my -> my = e; pos = start; pub = start }
  :: atomic { !hold && my == e && pos <= LAST && !ISDDL(pos) -> pos++; pub = pos }
#ifdef AHEAD
  :: atomic { !hold && my == e && pos <= LAST && ISDDL(pos) && resolved -> pos++; pub = pos }
#else
  :: atomic { !hold && my == e && pos <= LAST && ISDDL(pos) && pos < resolved -> pos++; pub = pos }
#endif
#ifdef PASSDDL
  :: atomic { !hold && my == e && pos <= LAST && ISDDL(pos) -> pos++; pub = pos }
#endif
#ifdef NODRAIN
  :: atomic { !hold && my == e && pos <= LAST && ISDDL(pos) && pos >= resolved -> hold = true; at = pos; want = e + 1 }
#else
  :: atomic { !hold && my == e && pos <= LAST && ISDDL(pos) && pos >= resolved && tPos == pos -> hold = true; at = pos; want = e + 1 }
#endif
  od
}

active proctype Load() {
  do
  :: atomic { want > e -> e = want; start = tPos; pub = start }
  :: atomic { want <= e && tPos < pub ->
       if :: ISDDL(tPos) -> assert(ddl & (1 << tPos))                   /* passed only when it was done */
          :: else -> assert(tPos == 0 || (ddl & 2)); assert(tPos < 2 || !(ddl & 1));
                     assert(!(tPos < 1 && (ddl & 2))); assert(!(tPos < 3 && (ddl & 8))); assert(tPos < 4 || (ddl & 8))
       fi;
       tPos++ }
  od
}

active proctype Env() {
  do
  :: atomic { hold -> ddl = ddl | (1 << at); resolved = at + 1; want = want + 1; hold = false }   /* the operator: DDL, apply, start */
#ifdef AUTORETRY
  :: atomic { hold -> resolved = at + 1; hold = false; want = want + 1 }
#endif
  :: atomic { rs < RS && !hold -> rs++; want = (want > e -> want : e) + 1 }
  :: timeout -> assert(tPos == LAST + 1); break
  od
}
