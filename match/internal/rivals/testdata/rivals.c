/*
 * Measures how long PCRE2 and Hyperscan take to find the first line of a
 * sequence of lists that matches an answer. Commands come on standard input,
 * numbers are 32 bits in the machine's byte order.
 *
 *   'L' count (options length pattern)...   a list -> ms of PCRE2, of its JIT
 *                                           and of Hyperscan to compile it,
 *                                           KiB of Hyperscan, lines it lacks
 *   'A' nlists list... length answer        remember an answer -> nothing
 *   'C'                                     forget the answers -> nothing
 *   'R' engine                              per answer: s and ns, place of the
 *                                           list and of the line in it, or -1
 *
 * Engine 0 is PCRE2's interpreter, 1 its JIT, each line by line without
 * limits. Engine 2 is Hyperscan, all lines of a list at once: it gives no
 * groups, and the lines that it can only approximate are approximated.
 */
#define _GNU_SOURCE
#define PCRE2_CODE_UNIT_WIDTH 8
#include <hs/hs.h>
#include <pcre2.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct list {
	uint32_t count;
	pcre2_code **plain, **jit;
	hs_database_t *hs;
};

struct answer {
	uint32_t nlists, *lists, len;
	unsigned char *data;
};

static struct list *lists;
static uint32_t nlists;
static struct answer *answers;
static uint32_t nanswers;
static hs_scratch_t *scratch;
static pcre2_match_data *match_data;
static pcre2_match_context *limits;

static void get(void *p, size_t n)
{
	if (n > 0 && fread(p, 1, n, stdin) != n)
		exit(0);
}

static uint32_t get32(void)
{
	uint32_t v;
	get(&v, sizeof v);
	return v;
}

static void put32(int32_t v)
{
	fwrite(&v, sizeof v, 1, stdout);
}

static void put_time(double ns)
{
	put32((int32_t)(ns / 1e9));
	put32((int32_t)((int64_t)ns % 1000000000));
}

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

static pcre2_code *compile(const char *p, size_t len, uint32_t options)
{
	int error;
	PCRE2_SIZE offset;
	return pcre2_compile((PCRE2_SPTR)p, len,
		((options & 1) ? PCRE2_CASELESS : 0) | ((options & 2) ? PCRE2_DOTALL : 0),
		&error, &offset, NULL);
}

/* loosen rewrites what Hyperscan lacks to something that matches more. */
static char *loosen(const char *p)
{
	char *out = malloc(2 * strlen(p) + 1), *o = out;
	for (; *p; p++) {
		if (*p == '\\' && p[1]) {
			*o++ = *p++;
		} else if (!strncmp(p, "(?>", 3)) {
			memcpy(o, "(?:", 3);
			o += 3;
			p += 2;
			continue;
		} else if (*p == '+' && o > out && strchr("+*?}", o[-1]) && (o < out + 2 || o[-2] != '\\')) {
			continue;
		}
		*o++ = *p;
	}
	*o = 0;
	return out;
}

static int supported(const char *p, unsigned flags)
{
	hs_expr_info_t *info = NULL;
	hs_compile_error_t *error = NULL;
	if (hs_expression_info(p, flags, &info, &error) == HS_SUCCESS) {
		free(info);
		return 1;
	}
	hs_free_compile_error(error);
	return 0;
}

/* build_hs gives the number of lines that had to be left out. */
static uint32_t build_hs(struct list *l, char **patterns, uint32_t *options)
{
	const char **use = calloc(l->count + 1, sizeof *use);
	unsigned *flags = calloc(l->count + 1, sizeof *flags), *ids = calloc(l->count + 1, sizeof *ids);
	uint32_t n = 0, i, missing = 0;
	hs_compile_error_t *error = NULL;

	for (i = 0; i < l->count; i++) {
		unsigned f = HS_FLAG_SINGLEMATCH | HS_FLAG_ALLOWEMPTY |
			((options[i] & 1) ? HS_FLAG_CASELESS : 0) | ((options[i] & 2) ? HS_FLAG_DOTALL : 0);
		char *p = patterns[i];
		if (!supported(p, f)) {
			f |= HS_FLAG_PREFILTER;
			if (!supported(p, f))
				p = loosen(p);
			if (!supported(p, f)) {
				missing++;
				continue;
			}
		}
		use[n] = p;
		flags[n] = f;
		ids[n++] = i;
	}
	if (n > 0 && hs_compile_multi(use, flags, ids, n, HS_MODE_BLOCK, NULL, &l->hs, &error) != HS_SUCCESS) {
		fprintf(stderr, "hyperscan: %s (%d)\n", error->message, error->expression);
		l->hs = NULL;
		missing = l->count;
	}
	if (l->hs != NULL && hs_alloc_scratch(l->hs, &scratch) != HS_SUCCESS)
		exit(2);
	return missing;
}

static void read_list(void)
{
	struct list *l;
	char **patterns;
	uint32_t *options, i, len, missing;
	double t0, t1, t2, t3;
	size_t size = 0;

	lists = realloc(lists, (nlists + 1) * sizeof *lists);
	l = &lists[nlists++];
	memset(l, 0, sizeof *l);
	l->count = get32();
	patterns = calloc(l->count + 1, sizeof *patterns);
	options = calloc(l->count + 1, sizeof *options);
	l->plain = calloc(l->count + 1, sizeof *l->plain);
	l->jit = calloc(l->count + 1, sizeof *l->jit);
	for (i = 0; i < l->count; i++) {
		options[i] = get32();
		len = get32();
		patterns[i] = calloc(len + 1, 1);
		get(patterns[i], len);
	}
	t0 = now();
	for (i = 0; i < l->count; i++)
		l->plain[i] = compile(patterns[i], strlen(patterns[i]), options[i]);
	t1 = now();
	for (i = 0; i < l->count; i++) {
		l->jit[i] = compile(patterns[i], strlen(patterns[i]), options[i]);
		pcre2_jit_compile(l->jit[i], PCRE2_JIT_COMPLETE);
	}
	t2 = now();
	missing = build_hs(l, patterns, options);
	t3 = now();
	if (l->hs != NULL)
		hs_database_size(l->hs, &size);
	put32((t1 - t0) / 1e6);
	put32((t2 - t1) / 1e6);
	put32((t3 - t2) / 1e6);
	put32(size / 1024);
	put32(missing);
	fflush(stdout);
}

static void read_answer(void)
{
	struct answer *a;
	uint32_t i;
	answers = realloc(answers, (nanswers + 1) * sizeof *answers);
	a = &answers[nanswers++];
	a->nlists = get32();
	a->lists = calloc(a->nlists + 1, sizeof *a->lists);
	for (i = 0; i < a->nlists; i++)
		a->lists[i] = get32();
	a->len = get32();
	a->data = malloc(a->len + 1);
	get(a->data, a->len);
}

static int least(unsigned id, unsigned long long from, unsigned long long to, unsigned flags, void *context)
{
	int32_t *line = context;
	(void)from;
	(void)to;
	(void)flags;
	if (*line < 0 || (int32_t)id < *line)
		*line = (int32_t)id;
	return *line == 0;
}

static int32_t first_pcre(struct list *l, struct answer *a, int jit)
{
	pcre2_code **codes = jit ? l->jit : l->plain;
	uint32_t i;
	for (i = 0; i < l->count; i++)
		if (codes[i] != NULL && pcre2_match(codes[i], a->data, a->len, 0,
				jit ? 0 : PCRE2_NO_JIT, match_data, limits) >= 0)
			return (int32_t)i;
	return -1;
}

static void run(void)
{
	uint32_t engine = get32(), i, j;
	for (i = 0; i < nanswers; i++) {
		struct answer *a = &answers[i];
		int32_t line = -1;
		double t0 = now();
		for (j = 0; j < a->nlists && line < 0; j++) {
			struct list *l = &lists[a->lists[j]];
			if (engine == 2) {
				if (l->hs != NULL)
					hs_scan(l->hs, (const char *)a->data, a->len, 0, scratch, least, &line);
			} else {
				line = first_pcre(l, a, (int)engine);
			}
		}
		put_time(now() - t0);
		put32(line < 0 ? -1 : (int32_t)j - 1);
		put32(line);
	}
	fflush(stdout);
}

int main(void)
{
	int c;
	pcre2_jit_stack *stack = pcre2_jit_stack_create(32 * 1024, 64 * 1024 * 1024, NULL);
	match_data = pcre2_match_data_create(256, NULL);
	limits = pcre2_match_context_create(NULL);
	pcre2_set_match_limit(limits, UINT32_MAX);
	pcre2_set_depth_limit(limits, UINT32_MAX);
	pcre2_set_heap_limit(limits, UINT32_MAX);
	pcre2_jit_stack_assign(limits, NULL, stack);
	while ((c = getchar()) != EOF) {
		switch (c) {
		case 'L':
			read_list();
			break;
		case 'A':
			read_answer();
			break;
		case 'R':
			run();
			break;
		case 'C':
			nanswers = 0;
			break;
		default:
			return 1;
		}
	}
	return 0;
}
