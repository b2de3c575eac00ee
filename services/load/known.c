#include "load/known.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "load/ring.h"

void ldr_known_fini(struct ldr_known *known)
{
    lutra_free(known->position);
    *known = (struct ldr_known){0};
}

void ldr_known_note(struct ldr_known *known,
                    uint64_t epoch,
                    uint64_t process_id,
                    const char *position,
                    int64_t at_ms)
{
    if (epoch < known->epoch || (epoch == known->epoch && process_id < known->process_id)) {
        return;
    }
    char *copy = lutra_strdup(position != NULL ? position : "");
    lutra_free(known->position);
    *known = (struct ldr_known){
        .epoch = epoch, .process_id = process_id, .position = copy, .at_ms = at_ms};
}

struct ldr_expect *ldr_expect_new(const struct ldr_known *known,
                                  const char *pipeline,
                                  enum lutra_flavor flavor,
                                  const char *accept,
                                  uint64_t may_lose_ms)
{
    struct ldr_expect *expect = LUTRA_NEW(struct ldr_expect);
    ldr_known_note(&expect->known, known->epoch, known->process_id, known->position, known->at_ms);
    expect->pipeline = lutra_strdup(pipeline);
    expect->flavor = flavor;
    expect->accept = lutra_strdup(accept);
    expect->may_lose_ms = may_lose_ms;
    return expect;
}

void ldr_expect_free(void *arg)
{
    struct ldr_expect *expect = arg;
    if (expect != NULL) {
        ldr_known_fini(&expect->known);
        lutra_free(expect->pipeline);
        lutra_free(expect->accept);
        lutra_free(expect);
    }
}

/* How an operator names a position: by file and offset where it has them, since GTID sets are long.
 */
static char *short_name(const char *position)
{
    size_t len = position[0] == ';' ? strlen(position) : strcspn(position, ";");
    return lutra_asprintf("%.*s", (int)len, position);
}

/* The word that lifts the refusal of a target that holds `position`. It names the epoch that was
 * there before, too: accepted, a higher one is made and stands in the origin from then on, so the
 * word is used up, and the same old copy needs another one when it is restored again. Until the
 * origin is there nothing was written but the fence, and the word holds for whoever goes on. */
static char *word_for(const struct ldr_expect *expect, const char *position)
{
    return lutra_asprintf("%s@%" PRIu64, position, expect->known.epoch);
}

static bool accepts(const struct ldr_expect *expect, const char *position, bool empty)
{
    char text[64];
    if (empty) {
        (void)snprintf(text, sizeof text, "empty:%" PRIu64, expect->known.epoch);
        return strcmp(expect->accept, text) == 0;
    }
    LUTRA_AUTO_FREE char *name = short_name(position);
    LUTRA_AUTO_FREE char *whole_word = word_for(expect, position);
    LUTRA_AUTO_FREE char *word = word_for(expect, name);
    return strcmp(expect->accept, whole_word) == 0 || strcmp(expect->accept, word) == 0;
}

static const char *about_another(const struct ldr_expect *expect)
{
    return expect->accept[0] != '\0' ? " (the one that stands there is not for this)" : "";
}

static void
refuse_empty(const struct ldr_expect *expect, const char *since, struct lutra_error *err)
{
    LUTRA_AUTO_FREE char *had = short_name(expect->known.position);
    (void)lutra_error_set(err, LUTRA_CONFIG, 0,
                          "the target has no checkpoint of this pipeline, and at %s it had process "
                          "%" PRIu64 ", %s (epoch %" PRIu64
                          "): was lutra.checkpoint dropped, or is "
                          "it a new server? To begin there as start: says, put "
                          "\"accept_target: empty:%" PRIu64 "\" into the pipeline%s, apply, start",
                          since, expect->known.process_id, had, expect->known.epoch,
                          expect->known.epoch, about_another(expect));
}

static void refuse_older(const struct ldr_expect *expect,
                         const struct ldr_ring *now,
                         uint64_t fence,
                         const char *since,
                         struct lutra_error *err)
{
    LUTRA_AUTO_FREE char *had = short_name(expect->known.position);
    LUTRA_AUTO_FREE char *has = short_name(now->position_text);
    LUTRA_AUTO_FREE char *word = word_for(expect, has);
    (void)lutra_error_set(
        err, LUTRA_CONFIG, 0,
        "the target went back: it holds process %" PRIu64 ", %s (epoch %" PRIu64
        "), and at %s it had process %" PRIu64 ", %s (epoch %" PRIu64
        "): was it restored from a backup, or is it another server? To go on from "
        "what it holds put \"accept_target: %s\" into the pipeline%s, apply, start",
        now->process_id, has, fence, since, expect->known.process_id, had, expect->known.epoch,
        word, about_another(expect));
}

static uint64_t highest_fence(const struct lutra_ring *ring)
{
    uint64_t highest = 0;
    for (size_t i = 0; i < ring->n; i++) {
        highest = ring->slots[i].fence > highest ? ring->slots[i].fence : highest;
    }
    return highest;
}

/* How much it lost: from the newest write that it shows, on our clock, to when it had more. */
static int64_t lost_ms(const struct ldr_expect *expect, const struct lutra_ring *ring)
{
    int64_t newest_ms = INT64_MIN;
    for (size_t i = 0; i < ring->n; i++) {
        int64_t written_ms = ring->read_at_ms - ring->slots[i].age_ms;
        newest_ms = written_ms > newest_ms ? written_ms : newest_ms;
    }
    return expect->known.at_ms - newest_ms;
}

static enum ldr_target_state judge(const struct ldr_expect *expect,
                                   const struct lutra_ring *ring,
                                   const struct ldr_ring *now,
                                   struct lutra_error *err)
{
    const struct ldr_known *known = &expect->known;
    uint64_t fence = highest_fence(ring);
    bool empty = now->position_text[0] == '\0' && now->process_id == 0;
    if (known->epoch == 0 || (fence >= known->epoch && now->process_id >= known->process_id)) {
        return LDR_TARGET_FITS;
    }
    if (empty && known->position[0] == '\0' && known->process_id == 0) {
        return LDR_TARGET_FITS; /* it had none: nothing is lost with it */
    }
    if (expect->accept[0] != '\0' && accepts(expect, now->position_text, empty)) {
        return LDR_TARGET_ACCEPTED;
    }
    if (!empty && lost_ms(expect, ring) <= (int64_t)expect->may_lose_ms &&
        expect->may_lose_ms > 0) {
        return LDR_TARGET_LOST;
    }
    char since[32];
    (void)lutra_clock_format_us(known->at_ms * 1000, since);
    if (empty) {
        refuse_empty(expect, since, err);
    } else {
        refuse_older(expect, now, fence, since, err);
    }
    return LDR_TARGET_REFUSED;
}

enum ldr_target_state ldr_target_judge(const struct ldr_expect *expect,
                                       const struct lutra_ring *ring,
                                       struct lutra_error *err)
{
    struct ldr_ring now = {0};
    struct lutra_error malformed = {0};
    enum ldr_target_state state = LDR_TARGET_FITS;
    if (ldr_ring_recover(&now, expect->flavor, ring, &malformed) == 0) {
        state = judge(expect, ring, &now, err);
    }
    ldr_ring_fini(&now);
    return state;
}

int ldr_expect_check(const struct lutra_ring *ring, void *arg, struct lutra_error *err)
{
    const struct ldr_expect *expect = arg;
    switch (ldr_target_judge(expect, ring, err)) {
    case LDR_TARGET_FITS:
        return 0;
    case LDR_TARGET_LOST:
        LUTRA_WARN("load.target_lost", LUTRA_F_STR("pipeline", expect->pipeline),
                   LUTRA_F_I64("ms", lost_ms(expect, ring)),
                   LUTRA_F_U64("had_process_id", expect->known.process_id),
                   LUTRA_F_STR("had_position", expect->known.position));
        return 0;
    case LDR_TARGET_ACCEPTED:
        LUTRA_WARN("load.target_accepted", LUTRA_F_STR("pipeline", expect->pipeline),
                   LUTRA_F_STR("accept_target", expect->accept),
                   LUTRA_F_U64("had_process_id", expect->known.process_id),
                   LUTRA_F_STR("had_position", expect->known.position));
        return 0;
    case LDR_TARGET_REFUSED:
        break;
    }
    return -1;
}
