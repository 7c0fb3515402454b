/* The names of what is measured: sites, metrics, reasons, laws. Precision-free tables. */
#ifndef CORE_BASE_CATALOG_H
#define CORE_BASE_CATALOG_H

#include "core/base/registry.h"

#include <stdint.h>

/* What a value is, wherever it stands: role.def. */
typedef enum site_role {
#define ROLE(name, summary) ROLE_##name,
#include "core/base/role.def"
#undef ROLE
    ROLE_COUNT
} site_role;

typedef enum site {
#define SITE(name, role, use, is_default, summary) SITE_##name,
#include "core/base/site.def"
#undef SITE
    SITE_COUNT
} site;

typedef enum metric {
#define METRIC(name, group, unit, direction, scale, is_default, summary, source) METRIC_##name,
#include "core/base/metric.def"
#undef METRIC
    METRIC_COUNT
} metric;

typedef enum metric_group {
#define GROUP(name, use, site) GROUP_##name,
#include "core/base/group.def"
#undef GROUP
    GROUP_COUNT
} metric_group;

typedef enum reason {
    REASON_NONE,
#define REASON(name, sentence) REASON_##name,
#include "core/base/reason.def"
#undef REASON
    REASON_COUNT
} reason;

/* The second axis of measurements, beside the layer: item.def. */
typedef enum item_kind {
    ITEM_NONE,
#define ITEM(name, summary) ITEM_##name,
#include "core/base/item.def"
#undef ITEM
    ITEM_COUNT
} item_kind;

/* What a field of a job needs of the network (use.def); sets of them are bits. */
typedef enum use {
#define USE(name, what) USE_##name,
#include "core/base/use.def"
#undef USE
    USE_COUNT
} use;
typedef uint64_t use_set;
#define USES(name) ((use_set)1 << USE_##name)

const char *use_sentence(use u);    /* what the network must have */
const char *use_text(use_set uses); /* the first of them; NULL: there is none */

/* What theory says: law.def. */
typedef enum law {
#define LAW(name, predicts, summary, source, validity) LAW_##name,
#include "core/base/law.def"
#undef LAW
    LAW_COUNT
} law;

extern const registry site_registry, metric_registry, law_registry;

/* What the network must have for a site or metric to be there; 0: nothing, or another registry. */
use_set catalog_use(const registry *r, int row);
site_role site_role_of(site s);
bool site_is_value(site s);  /* a value of a pass, with moments and a gradient */
bool site_is_stream(site s); /* the residual stream, between blocks or inside one */
metric_group metric_group_of(metric m);
site metric_usual_site(metric m);   /* where one looks at it who does not say */
const char *item_name(item_kind k); /* "head"; "" for ITEM_NONE */
const char *item_summary(item_kind k);
const char *reason_name(reason r);     /* "NAN", "POS_INF", "ZERO", … ; "" for REASON_NONE */
const char *reason_sentence(reason r); /* "" for REASON_NONE */
reason reason_find(const char *name);  /* REASON_NONE for NULL and what is no name */
reason reason_of(double value); /* REASON_NAN, REASON_POS_INF, REASON_NEG_INF or REASON_NONE */

#endif
