/* Publishing: one idempotent producer. When it fails for good (an error that breaks idempotence) it
 * is replaced, and what was under way is told RETRY: receivers drop what they have already. */
#include <string.h>
#include <utlist.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"
#include "bus/bus_kafka_impl.h"

#define WARM_UP_DEADLINE_MS 10000

/* ---- acknowledgements ---- */

static void send_finish(struct kafka_bus *bus, struct kafka_send *send, rd_kafka_resp_err_t code)
{
    lutra_bus_ack_fn ack = bus->closing ? NULL : send->ack;
    struct lutra_error err;

    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        lutra_counter_add(bus->metrics.published, 1);
        if (bus->metrics.ack_seconds) {
            lutra_histogram_observe(bus->metrics.ack_seconds,
                                    (double)(lutra_clock_now_us() - send->at_us) / 1e6);
        }
    } else {
        lutra_counter_add(bus->metrics.publish_errors, 1);
        kafka_error(&err, code, NULL);
    }
    if (ack) {
        ack(code == RD_KAFKA_RESP_ERR_NO_ERROR ? NULL : &err, send->arg);
    }
    lutra_free(send);
}

static void on_delivery(struct kafka_bus *bus, rd_kafka_event_t *event)
{
    const rd_kafka_message_t *message;

    while ((message = rd_kafka_event_message_next(event))) {
        struct kafka_send *send = message->_private;

        DL_DELETE(bus->sends, send);
        send_finish(bus, send, message->err);
    }
}

/* ---- failing for good ---- */

static void producer_drop(struct kafka_bus *bus)
{
    kafka_pump_free(bus->producer_pump);
    bus->producer_pump = NULL;
    kafka_retire(bus, bus->producer);
    bus->producer = NULL;
    bus->producer_ready = false;
}

/* Or at the next tick. */
static void producer_open_again(struct kafka_bus *bus)
{
    struct lutra_error err;

    if (kafka_producer_open(bus, &err) != 0) {
        LUTRA_ERROR("bus.producer_not_made", LUTRA_F_ERR(&err));
        lutra_bus_warn(&bus->base, "bus %s has no producer: %.400s", bus->name, err.msg);
    }
}

static void producer_replace(struct kafka_bus *bus)
{
    const rd_kafka_t *failed = bus->producer;
    struct kafka_send *send;
    char why[256] = "";

    rd_kafka_fatal_error(bus->producer, why, sizeof(why));
    LUTRA_ERROR("bus.producer_failed", LUTRA_F_STR("error", why));
    bus->producers_failed++;
    lutra_counter_add(bus->metrics.producers_failed, 1);
    lutra_bus_warn(&bus->base,
                   "the producer of bus %s failed for good and was replaced, %u so far, the last: "
                   "%.250s; what was under way is published again",
                   bus->name, bus->producers_failed, why);
    producer_drop(bus);
    /* Acks may publish again: on the new one. */
    DL_CONCAT(bus->failed_sends, bus->sends);
    bus->sends = NULL;
    producer_open_again(bus);
    kafka_admin_fail(bus, failed);
    while ((send = bus->failed_sends)) {
        DL_DELETE(bus->failed_sends, send);
        send_finish(bus, send, RD_KAFKA_RESP_ERR__FATAL);
    }
}

/* ---- warming up ---- */

static void
warm_up_finish(struct kafka_bus *bus, struct kafka_warm_up *warm_up, const struct lutra_error *err)
{
    DL_DELETE(bus->warm_ups, warm_up);
    if (warm_up->done && !bus->closing) {
        warm_up->done(err, warm_up->arg);
    }
    lutra_free(warm_up->topic);
    lutra_free(warm_up);
}

/* One that is ready or late, or NULL. Callbacks may change the list. */
static struct kafka_warm_up *warm_up_due(struct kafka_bus *bus, uint64_t now_ms)
{
    struct kafka_warm_up *warm_up;

    DL_FOREACH(bus->warm_ups, warm_up)
    {
        if (!warm_up->asking &&
            ((warm_up->topic_known && bus->producer_ready) || now_ms >= warm_up->deadline_ms)) {
            return warm_up;
        }
    }
    return NULL;
}

static void warm_ups_check(struct kafka_bus *bus)
{
    uint64_t now_ms = lutra_loop_now_ms(bus->base.loop);
    struct kafka_warm_up *warm_up;
    struct lutra_error err;

    while ((warm_up = warm_up_due(bus, now_ms))) {
        if (warm_up->topic_known && bus->producer_ready) {
            warm_up_finish(bus, warm_up, NULL);
        } else {
            lutra_error_set(&err, LUTRA_RETRY, 0, "kafka: the producer is not ready for topic %s",
                            warm_up->topic);
            warm_up_finish(bus, warm_up, &err);
        }
    }
}

static void
on_topic(struct kafka_bus *bus, const int32_t *partitions, const struct lutra_error *err, void *ctx)
{
    struct kafka_warm_up *warm_up = ctx;

    warm_up->asking = false;
    warm_up->topic_known = !err && partitions[0] > 0; /* else: the next tick asks again */
    warm_ups_check(bus);
}

static void warm_up_ask(struct kafka_bus *bus, struct kafka_warm_up *warm_up)
{
    const char *topic = warm_up->topic;

    warm_up->asking = true;
    kafka_metadata_ask(bus, &topic, 1, on_topic, warm_up);
}

void kafka_warm_up(struct lutra_bus *base, const char *topic, lutra_bus_ack_fn done, void *arg)
{
    struct kafka_bus *bus = (struct kafka_bus *)base;
    struct kafka_warm_up *warm_up = LUTRA_NEW(struct kafka_warm_up);

    warm_up->topic = lutra_strdup(topic);
    warm_up->done = done;
    warm_up->arg = arg;
    warm_up->deadline_ms = lutra_loop_now_ms(base->loop) + WARM_UP_DEADLINE_MS;
    DL_APPEND(bus->warm_ups, warm_up);
    warm_up_ask(bus, warm_up);
}

/* ---- publishing ---- */

static rd_kafka_headers_t *make_headers(const struct lutra_bus_record *record)
{
    rd_kafka_headers_t *headers = rd_kafka_headers_new(record->n_headers);

    for (size_t i = 0; i < record->n_headers; i++) {
        rd_kafka_header_add(headers, record->headers[i].name, -1, record->headers[i].value, -1);
    }
    return headers;
}

static rd_kafka_resp_err_t
produce(struct kafka_bus *bus, const struct lutra_bus_record *record, struct kafka_send *send)
{
    rd_kafka_headers_t *headers = make_headers(record);
    rd_kafka_vu_t args[] = {
        {.vtype = RD_KAFKA_VTYPE_TOPIC, .u.cstr = record->topic},
        {.vtype = RD_KAFKA_VTYPE_PARTITION, .u.i32 = record->partition},
        {.vtype = RD_KAFKA_VTYPE_MSGFLAGS, .u.i = RD_KAFKA_MSG_F_COPY},
        {.vtype = RD_KAFKA_VTYPE_OPAQUE, .u.ptr = send},
        {.vtype = RD_KAFKA_VTYPE_HEADERS, .u.headers = headers},
        {.vtype = RD_KAFKA_VTYPE_VALUE, .u.mem = {.size = record->payload_len}},
        {.vtype = RD_KAFKA_VTYPE_KEY},
    };
    size_t n = sizeof(args) / sizeof(args[0]);
    rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR_NO_ERROR;
    rd_kafka_error_t *error;

    /* The library's struct has void *, and copies (MSG_F_COPY). */
    memcpy(&args[5].u.mem.ptr, &record->payload, sizeof(void *));
    if (record->key) {
        memcpy(&args[6].u.mem.ptr, &record->key, sizeof(void *));
        args[6].u.mem.size = strlen(record->key);
    } else {
        n--;
    }
    error = rd_kafka_produceva(bus->producer, args, n);
    if (error) {
        code = rd_kafka_error_code(error);
        rd_kafka_error_destroy(error);
        rd_kafka_headers_destroy(headers);
    }
    return code;
}

int kafka_publish(struct lutra_bus *base,
                  const struct lutra_bus_record *record,
                  lutra_bus_ack_fn ack,
                  void *arg,
                  struct lutra_error *err)
{
    struct kafka_bus *bus = (struct kafka_bus *)base;
    struct kafka_send *send;
    rd_kafka_resp_err_t code;

    if (!bus->producer) {
        return lutra_error_set(err, LUTRA_RETRY, 0, "kafka: there is no producer");
    }
    if (LUTRA_FAULT("bus.producer_fatal")) { /* as when the broker lost what it knew of us */
        (void)rd_kafka_test_fatal_error(bus->producer,
                                        RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER,
                                        "fault bus.producer_fatal");
    }
    send = LUTRA_NEW(struct kafka_send);
    send->ack = ack;
    send->arg = arg;
    send->at_us = lutra_clock_now_us();
    code = produce(bus, record, send);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        lutra_free(send);
        kafka_error(err, code, NULL);
        return lutra_error_wrap(err, "publishing to %s", record->topic);
    }
    DL_APPEND(bus->sends, send);
    return 0;
}

void kafka_producer_forget(struct kafka_bus *bus, const void *arg)
{
    struct kafka_send *send;
    struct kafka_warm_up *warm_up;

    DL_FOREACH(bus->sends, send)
    {
        send->ack = send->arg == arg ? NULL : send->ack;
    }
    DL_FOREACH(bus->failed_sends, send)
    {
        send->ack = send->arg == arg ? NULL : send->ack;
    }
    DL_FOREACH(bus->warm_ups, warm_up)
    {
        warm_up->done = warm_up->arg == arg ? NULL : warm_up->done;
    }
}

/* ---- events ---- */

/* Once a second. Only in its statistics librdkafka says whether the producer has its id and which
 * brokers are connected; what is looked for stands there in this form, blanks included. */
static void on_stats(struct kafka_bus *bus, rd_kafka_event_t *event)
{
    const char *json = rd_kafka_event_stats(event);

    bus->producer_ready = strstr(json, "\"idemp_state\": \"Assigned\"") != NULL;
    if (strstr(json, "\"state\":\"UP\"")) {
        kafka_set_healthy(bus, true);
    }
    warm_ups_check(bus);
}

static void on_producer_event(rd_kafka_event_t *event, void *arg)
{
    struct kafka_bus *bus = arg;
    rd_kafka_event_type_t type = rd_kafka_event_type(event);

    if (type == RD_KAFKA_EVENT_DR) {
        on_delivery(bus, event);
    } else if (type == RD_KAFKA_EVENT_STATS) {
        on_stats(bus, event);
    } else if (type == RD_KAFKA_EVENT_ERROR && rd_kafka_event_error_is_fatal(event)) {
        if (!bus->closing) {
            producer_replace(bus);
        }
    } else if (!kafka_common_event(bus, event)) {
        if (type == RD_KAFKA_EVENT_ERROR) {
            rd_kafka_resp_err_t code = rd_kafka_event_error(event);
            /* A connection that failed: librdkafka logs it, too. */
            bool known = code == RD_KAFKA_RESP_ERR__TRANSPORT || code == RD_KAFKA_RESP_ERR__RESOLVE;

            LUTRA_LOG(known ? LUTRA_LOG_DEBUG : LUTRA_LOG_WARN, "bus.producer_error",
                      LUTRA_F_STR("code", rd_kafka_err2name(code)),
                      LUTRA_F_STR("error", rd_kafka_event_error_string(event)));
        } else {
            kafka_admin_event(bus, event);
        }
    }
}

int kafka_producer_open(struct kafka_bus *bus, struct lutra_error *err)
{
    struct kafka_pump *pump = kafka_pump_new(bus->base.loop, on_producer_event, bus, err);

    if (!pump) {
        return -1;
    }
    bus->producer = kafka_handle_new(bus, KAFKA_PRODUCER, NULL, err);
    if (!bus->producer) {
        kafka_pump_free(pump);
        return -1;
    }
    rd_kafka_set_log_queue(bus->producer, NULL); /* to the main queue */
    kafka_pump_start(pump, rd_kafka_queue_get_main(bus->producer));
    bus->producer_pump = pump;
    return 0;
}

void kafka_producer_tick(struct kafka_bus *bus)
{
    struct kafka_warm_up *warm_up;

    if (!bus->producer) {
        producer_open_again(bus);
    }
    DL_FOREACH(bus->warm_ups, warm_up)
    {
        if (!warm_up->asking && !warm_up->topic_known) {
            warm_up_ask(bus, warm_up);
        }
    }
    warm_ups_check(bus);
}

void kafka_producer_close(struct kafka_bus *bus, uint64_t deadline_ms)
{
    struct kafka_send *send, *next_send;

    while (bus->sends && bus->producer && lutra_clock_now_ms() < deadline_ms) {
        kafka_pump_wait(bus->producer_pump, 10);
    }
    if (bus->producer) {
        producer_drop(bus);
    }
    DL_FOREACH_SAFE(bus->sends, send, next_send)
    {
        lutra_free(send);
    }
    while (bus->warm_ups) {
        warm_up_finish(bus, bus->warm_ups, NULL);
    }
}
