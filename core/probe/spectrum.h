/* The gauge of spectra: Gram matrices of all sequences while a segment runs, their eigenvalues together
 * when it has ended. */
#ifndef CORE_PROBE_SPECTRUM_H
#define CORE_PROBE_SPECTRUM_H

/* Gram matrix, reduction and eigenvalues of one matrix, of so many kinds (as it is, centred). */
double spectrum_flops(double rows, double cols, int kinds);

#endif
