/* Spikes planted in a quiet trace. */
#include "core/metric/spike.h"
#include "tests/core/numbers.h"
#include "tests/suite.h"

enum { STEPS = 60 };

static void quiet(double *g)
{
    uint64_t seed = 5;
    for (int t = 0; t < STEPS; t++) g[t] = exp(0.05 * numbers_normal(&seed) - 0.01 * t);
}

START_TEST(test_a_quiet_trace_has_none)
{
    double g[STEPS];
    metric_value out[METRIC_COUNT];
    quiet(g);
    spike_finish(g, STEPS, out);
    ck_value(out[METRIC_grad_spikes], 0, 0, 0);
    ck_assert_double_lt(out[METRIC_grad_spike_z].value, 6);
    ck_reason(out[METRIC_grad_spike_step], REASON_ABSENT);
}
END_TEST

START_TEST(test_planted_spikes_are_counted_and_located)
{
    double g[STEPS];
    metric_value out[METRIC_COUNT];
    quiet(g);
    g[23] *= 4;
    g[41] *= 8;
    spike_finish(g, STEPS, out);
    ck_value(out[METRIC_grad_spikes], 2, 0, 0);
    ck_value(out[METRIC_grad_spike_step], 23, 0, 0);
    ck_assert_double_gt(out[METRIC_grad_spike_z].value, 15);
}
END_TEST

/* A constant trace has no spread: z is ln 2/1e-3. The scale of the gradients does not matter. */
START_TEST(test_z_is_its_formula)
{
    metric_value out[METRIC_COUNT];
    for (int k = 0; k < 2; k++) {
        double g[20];
        for (int t = 0; t < 20; t++) g[t] = k ? 1e-8 : 3;
        g[15] *= 2;
        spike_finish(g, 20, out);
        ck_value(out[METRIC_grad_spike_z], log(2) / 1e-3, 1e-9, 0);
        ck_value(out[METRIC_grad_spike_step], 15, 0, 0);
    }
}
END_TEST

START_TEST(test_short_traces_and_what_is_not_finite)
{
    double g[12] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
    metric_value out[METRIC_COUNT];
    spike_finish(g, 8, out);
    ck_reason(out[METRIC_grad_spikes], REASON_TOO_FEW);
    ck_reason(out[METRIC_grad_spike_step], REASON_TOO_FEW);
    spike_finish(g, 9, out);
    ck_value(out[METRIC_grad_spikes], 0, 0, 0);
    g[9] = INFINITY, g[10] = NAN, g[11] = 0;
    spike_finish(g, 12, out);
    ck_value(out[METRIC_grad_spikes], 0, 0, 0);
    ck_value(out[METRIC_grad_spike_z], 0, 0, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("spike");
    TCase *c = tcase_create("spike");
    tcase_add_test(c, test_a_quiet_trace_has_none);
    tcase_add_test(c, test_planted_spikes_are_counted_and_located);
    tcase_add_test(c, test_z_is_its_formula);
    tcase_add_test(c, test_short_traces_and_what_is_not_finite);
    suite_add_tcase(suite, c);
    return suite_run(suite);
}
