#!/bin/sh
# Writes the table of server/machine/embed.h as C: one row per argument NAME=FILE (or FILE, named by itself).
set -eu

printf '#include "server/machine/embed.h"\n\n'
n=0
for arg in "$@"; do
    n=$((n + 1))
    printf 'extern const unsigned char embed_%d[];\n' $n
    printf '__asm__(".section .rodata\\nembed_%d: .incbin \\"%s\\"\\n.byte 0\\n.previous");\n' \
        $n "${arg#*=}"
done
printf '\nconst embed embed_files[] = {\n'
n=0
for arg in "$@"; do
    n=$((n + 1))
    printf '    {"%s", embed_%d, %d},\n' "${arg%%=*}" $n "$(stat -c %s "${arg#*=}")"
done
printf '    {0},\n};\n'
