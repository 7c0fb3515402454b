/* Measuring while a pass runs: each tap is reduced at once, sequence by sequence, while its values
 * are in cache; what is kept is a few hundred bytes per tap and sequence. Sums over sequences are
 * made at the end in the order of the batch, so no result depends on threads.
 */
#ifndef CORE_PROBE_PROBE_H
#define CORE_PROBE_PROBE_H

#include "core/graph/exec.h"
#include "core/metric/attention.h"
#include "core/metric/contraction.h"
#include "core/metric/geometry.h"
#include "core/metric/gradient.h"
#include "core/metric/headroom.h"
#include "core/metric/moments.h"
#include "core/metric/outlier.h"
#include "core/metric/ranks.h"
#include "core/metric/value.h"
#include "core/op/op.h"
#include "core/probe/branch.h"
#include "core/probe/coordinate.h"
#include "core/probe/correlation.h"
#include "core/probe/cosine.h"
#include "core/probe/similarity.h"

typedef struct probe_tap {
    moments *moments;         /* [B] */
    geometry *geometry;       /* [B] */
    gradient *gradient;       /* [B] */
    double *token_sq;         /* [B, rows] */
    ranks *ranks;             /* [2, B]: uncentred, centred */
    real *entropy;            /* [B, H, T] */
    attention_rows *rows;     /* [B] */
    contraction *contraction; /* [B] */
    probe_coordinate coordinate;
    int slot;                    /* of its Gram matrices in the pool while its segment runs */
    headroom_counts *formats[2]; /* [B]: values, gradients */
    outlier *outliers;           /* [B] */
    double *col_sq;              /* [B, cols] */
} probe_tap;

typedef struct probe {
    const graph *g;
    bool moments, gradient, geometry, spectrum[2], attention, parameter,
        coordinate; /* groups that are wanted */
    bool spread;    /* of the entries of a parameter's gradient */
    bool format[2]; /* of values, of gradients */
    bool outlier;
    probe_branch branch;
    probe_similarity similarity;
    probe_cosine cosine;
    probe_correlation correlation;
    double *outlier_work; /* of each worker */
    size_t outlier_numbers;
    probe_tap *taps;
    char *work;     /* work_bytes for each worker */
    real *unscaled; /* a gradient without exec.grad_scale: unscaled_reals for each worker */
    size_t unscaled_reals;
    size_t work_bytes, gram_work_bytes;
    double *grams;                /* [slots, B, n n]: turned when both spectra are wanted */
    double *corners;              /* [slots, B] */
    size_t gram_reals, gram_n;    /* of the largest */
    int *slot_taps;               /* taps of the running segment by slot */
    struct spectra_group *groups; /* of its matrices, for one call each */
    int *segment_taps; /* [n_segments + 1] first tap whose value is made in the segment */
    int n_slots;       /* largest over segments */
    double *eigenvalues, *order;
    size_t eigen_bytes; /* scratch of one worker */
    char *eigen;
    bool rows, contraction, path; /* attention: what more is wanted of it than entropies */
    int path_first;               /* tap where products begin, or NONE */
    double *paths;                /* [B, T, T] */
    char *contraction_work;       /* contraction_bytes for each worker */
    size_t contraction_bytes;
    watch watch;
} probe;

void probe_init(probe *p, const graph *g);
/* Carves its memory from a counting or real arena. */
void probe_layout(probe *p, const graph *g, int n_threads, arena *a);
bool probe_wants_backward(const probe *p);

/* What exec.watch is while this probe looks; valid until p is moved. */
const watch *probe_watch(probe *p);

/* Norm of the gradient at a tap over the whole batch; before probe_finish. */
double probe_grad_norm(const probe *p, int tap);

/* All metrics of one tap, indexed by metric; fills only the groups that are wanted. with_grads: a
 * backward pass was made. */
void probe_finish(probe *p, int tap, bool with_grads, metric_value out[METRIC_COUNT]);

#endif
