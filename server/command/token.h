/* The access token: made here, shown once, kept as its SHA-256.
 *
 * A token file is one line: the token itself, or "sha256:" and the 64 hex digits of its hash, so
 * that who reads the file (or a backup of it) cannot use it. Those made here are of the second
 * kind. A slow hash would buy nothing: the token is 32 random bytes.
 */
#ifndef SERVER_COMMAND_TOKEN_H
#define SERVER_COMMAND_TOKEN_H

#include "server/command/option.h"

enum { TOKEN_TEXT = 72 };

/* Makes a token and writes its hash to path, mode 0600, synced, all or nothing. replace: also when
 * the file is there; otherwise that is ERR_CONFLICT and nothing changes. out: the token. ERR_IO. */
err_code token_make(char out[TOKEN_TEXT], const char *path, bool replace, error *err);

/* `normscope token`: what the file holds and how to get another; with --new another. The exit
 * status: 0; 1 when the file is not usable; 2 on wrong use. */
int token_main(const options *o);

#endif
