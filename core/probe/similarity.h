/* The gauge that compares the stream of different layers: of each it keeps the last token of every
 * sequence and, in turn or for good, the centred Gram matrices that CKA is made of.
 *
 * Every layer is compared with the one before it. For cka_last and cka_map at most 64 layers are
 * chosen, evenly from 0 to L, both included.
 */
#ifndef CORE_PROBE_SIMILARITY_H
#define CORE_PROBE_SIMILARITY_H

const char *probe_similarity_name(int layer); /* "layer.12"; lives as long as the program */

#endif
