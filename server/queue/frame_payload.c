/* The shapes of payloads. What is read is checked against the registries before anybody indexes
 * anything with it. */
#include "server/queue/frame.h"

#include <math.h>
#include <string.h>

enum { DONE_BYTES = 32, PROGRESS_BYTES = 24 };

static err_code bad(error *err, const char *what)
{
    return error_set(err, ERR_WORKER, "", "a frame with %s", what);
}

void frame_put_measurement(frame_buffer *b, const measurement *m, uint16_t param)
{
    frame_put_i32(b, m->step);
    frame_put_i32(b, m->layer);
    frame_put_u16(b, (uint16_t)m->site);
    frame_put_u16(b, (uint16_t)m->metric);
    frame_put_u16(b, param);
    frame_put_u8(b, (uint8_t)m->reason);
    frame_put_u8(b, (uint8_t)m->item_kind);
    frame_put_f64(b, m->value);
    frame_put_u32(b, (uint32_t)m->item);
    frame_put_u32(b, 0);
}

err_code frame_get_measurement(
    measurement *m, uint16_t *param, const unsigned char *p, size_t n_params, error *err)
{
    uint16_t at_site = frame_get_u16(p + 8), at_metric = frame_get_u16(p + 10);
    *param = frame_get_u16(p + 12);
    if (at_site >= SITE_COUNT) return bad(err, "an unknown site");
    if (at_metric >= METRIC_COUNT) return bad(err, "an unknown metric");
    if (*param > n_params) return bad(err, "an unknown parameter");
    if (p[14] >= REASON_COUNT) return bad(err, "an unknown reason");
    *m = (measurement){.step = frame_get_i32(p),
                       .layer = frame_get_i32(p + 4),
                       .site = (site)at_site,
                       .metric = (metric)at_metric,
                       .value = frame_get_f64(p + 16),
                       .reason = (reason)p[14],
                       .item = frame_get_i32(p + 24),
                       .item_kind = (item_kind)p[15]};
    if (p[15] >= ITEM_COUNT) return bad(err, "an unknown kind of item");
    if (m->item < 0 || (m->item == 0) != (p[15] == ITEM_NONE))
        return bad(err, "an impossible item");
    if (m->step < 0 || m->layer < -1) return bad(err, "a negative step or layer");
    return ERR_OK;
}

void frame_put_prediction(frame_buffer *b, const prediction *p, uint16_t param)
{
    frame_put_i32(b, p->layer);
    frame_put_u16(b, (uint16_t)p->site);
    frame_put_u16(b, (uint16_t)p->metric);
    frame_put_u16(b, (uint16_t)p->law);
    frame_put_u8(b, (uint8_t)p->reason);
    frame_put_u8(b, 0);
    frame_put_u16(b, param);
    frame_put_u16(b, 0);
    frame_put_f64(b, p->value);
    frame_put_f64(b, p->tolerance);
}

err_code frame_get_prediction(
    prediction *p, uint16_t *param, const unsigned char *bytes, size_t n_params, error *err)
{
    uint16_t at_site = frame_get_u16(bytes + 4), at_metric = frame_get_u16(bytes + 6),
             at_law = frame_get_u16(bytes + 8);
    if (at_site >= SITE_COUNT) return bad(err, "an unknown site");
    if (at_metric >= METRIC_COUNT) return bad(err, "an unknown metric");
    *param = frame_get_u16(bytes + 12);
    if (at_law >= LAW_COUNT) return bad(err, "an unknown law");
    if (*param > n_params) return bad(err, "an unknown parameter");
    if (bytes[10] >= REASON_COUNT) return bad(err, "an unknown reason");
    *p = (prediction){.layer = frame_get_i32(bytes),
                      .site = (site)at_site,
                      .metric = (metric)at_metric,
                      .law = (law)at_law,
                      .reason = (reason)bytes[10],
                      .value = frame_get_f64(bytes + 16),
                      .tolerance = frame_get_f64(bytes + 24)};
    if (p->layer < -1) return bad(err, "a negative layer");
    if (!isfinite(p->tolerance) || p->tolerance < 0) return bad(err, "an impossible tolerance");
    return ERR_OK;
}

void frame_put_step(frame_buffer *b, const step_record *s)
{
    frame_put_i32(b, s->step);
    frame_put_u32(b, 0);
    frame_put_f64(b, s->loss);
    frame_put_f64(b, s->lr);
    frame_put_f64(b, s->grad_norm);
}

void frame_get_step(step_record *s, const unsigned char *p)
{
    *s = (step_record){.step = frame_get_i32(p),
                       .loss = frame_get_f64(p + 8),
                       .lr = frame_get_f64(p + 16),
                       .grad_norm = frame_get_f64(p + 24)};
}

void frame_put_progress(frame_buffer *b, const progress *p)
{
    frame_put_i32(b, p->step);
    frame_put_i32(b, p->steps);
    frame_put_i32(b, p->layer);
    frame_put_i32(b, p->layers);
    frame_put_f64(b, p->fraction);
}

err_code frame_get_progress(progress *p, const frame_buffer *b, error *err)
{
    if (b->n != PROGRESS_BYTES) return bad(err, "a progress of the wrong size");
    *p = (progress){.step = frame_get_i32(b->bytes),
                    .steps = frame_get_i32(b->bytes + 4),
                    .layer = frame_get_i32(b->bytes + 8),
                    .layers = frame_get_i32(b->bytes + 12),
                    .fraction = frame_get_f64(b->bytes + 16)};
    if (!(p->fraction >= 0)) p->fraction = 0;
    if (p->fraction > 1) p->fraction = 1;
    return ERR_OK;
}

/* Bits of the first number. */
enum { DIVERGED = 1, IN_BACKWARD = 2 };

void frame_put_done(frame_buffer *b, const run_summary *s, double wall_ms, const char *provenance)
{
    frame_put_u32(b, (s->diverged ? DIVERGED : 0) | (s->diverged_backward ? IN_BACKWARD : 0));
    frame_put_i32(b, s->diverged_step);
    frame_put_i32(b, s->diverged_layer);
    frame_put_i32(b, (int32_t)s->diverged_site);
    frame_put_i32(b, s->steps_done);
    frame_put_u32(b, 0);
    frame_put_f64(b, wall_ms);
    frame_put_bytes(b, provenance, strnlen(provenance, FRAME_TEXT_MAX));
}

/* Texts end up in JSON and on terminals: control characters have no business there. */
static void copy_text(char *out, size_t size, const unsigned char *p, size_t n)
{
    if (n >= size) n = size - 1;
    for (size_t i = 0; i < n; i++) out[i] = (char)(p[i] < 0x20 || p[i] == 0x7f ? ' ' : p[i]);
    out[n] = 0;
}

err_code
frame_get_done(run_summary *s, double *wall_ms, char *provenance, const frame_buffer *b, error *err)
{
    if (b->n < DONE_BYTES || b->n > DONE_BYTES + FRAME_TEXT_MAX)
        return bad(err, "an end of the wrong size");
    int32_t at_site = frame_get_i32(b->bytes + 12);
    *s = (run_summary){.diverged = b->bytes[0] & DIVERGED,
                       .diverged_backward = b->bytes[0] & IN_BACKWARD,
                       .diverged_step = frame_get_i32(b->bytes + 4),
                       .diverged_layer = frame_get_i32(b->bytes + 8),
                       .steps_done = frame_get_i32(b->bytes + 16)};
    if (s->diverged && (at_site < 0 || at_site >= SITE_COUNT)) return bad(err, "an unknown site");
    s->diverged_site = s->diverged ? (site)at_site : (site)0;
    *wall_ms = frame_get_f64(b->bytes + 24);
    if (!isfinite(*wall_ms) || *wall_ms < 0) return bad(err, "an impossible time");
    copy_text(provenance, FRAME_TEXT_MAX + 1, b->bytes + DONE_BYTES, b->n - DONE_BYTES);
    return ERR_OK;
}

void frame_put_error(frame_buffer *b, const error *e)
{
    size_t pointer = strnlen(e->pointer, sizeof e->pointer);
    size_t message = strnlen(e->message, sizeof e->message);
    frame_put_u16(b, (uint16_t)e->code);
    frame_put_u16(b, (uint16_t)pointer);
    frame_put_bytes(b, e->pointer, pointer);
    frame_put_bytes(b, e->message, message);
}

err_code frame_get_error(error *e, const frame_buffer *b, error *err)
{
    if (b->n < 4) return bad(err, "an error of the wrong size");
    size_t code = frame_get_u16(b->bytes), pointer = frame_get_u16(b->bytes + 2);
    if (code == ERR_OK || code >= ERR_COUNT || pointer > b->n - 4)
        return bad(err, "an impossible error");
    e->code = (err_code)code;
    copy_text(e->pointer, sizeof e->pointer, b->bytes + 4, pointer);
    copy_text(e->message, sizeof e->message, b->bytes + 4 + pointer, b->n - 4 - pointer);
    return ERR_OK;
}
