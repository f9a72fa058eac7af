/*
 * Answers questions about PCRE2 on standard input and output. Numbers are
 * 32 bits in the machine's byte order.
 *
 *   'P' options length pattern   compile   -> error, offset, matches-empty, groups
 *   'S' length subject           remember  -> nothing
 *   'F' count number...          first hit -> place in the list or -1, groups...
 *   'A' count number...          all       -> per number: return code, groups...
 *
 *   'L' limit                    set PCRE2's match limit -> nothing
 *
 * groups... is a count of pairs, then start and end of each, -1 where unset.
 * A pattern is known by its number, from 0; one with an error never matches.
 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static pcre2_code **codes;
static size_t ncodes;
static unsigned char *subject;
static uint32_t subject_len;
static pcre2_match_data *data;
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

static unsigned char *get_bytes(uint32_t *len)
{
	unsigned char *p;
	*len = get32();
	p = malloc(*len + 1);
	get(p, *len);
	return p;
}

static void compile_one(void)
{
	uint32_t options = get32(), len, empty = 0, groups = 0;
	unsigned char *text = get_bytes(&len);
	int error = 0;
	PCRE2_SIZE offset = 0;
	pcre2_code *code = pcre2_compile(text, len,
		((options & 1) ? PCRE2_CASELESS : 0) | ((options & 2) ? PCRE2_DOTALL : 0) |
		((options & 4) ? PCRE2_NO_START_OPTIMIZE | PCRE2_NO_AUTO_POSSESS : 0),
		&error, &offset, NULL);

	free(text);
	codes = realloc(codes, (ncodes + 1) * sizeof *codes);
	codes[ncodes++] = code;
	if (code != NULL) {
		error = 0;
		pcre2_pattern_info(code, PCRE2_INFO_MATCHEMPTY, &empty);
		pcre2_pattern_info(code, PCRE2_INFO_CAPTURECOUNT, &groups);
	}
	put32(error);
	put32((int32_t)offset);
	put32((int32_t)empty);
	put32((int32_t)groups);
	fflush(stdout);
}

static int match_one(uint32_t number)
{
	if (number >= ncodes || codes[number] == NULL)
		return PCRE2_ERROR_NOMATCH;
	return pcre2_match(codes[number], subject, subject_len, 0, 0, data, limits);
}

static void put_groups(int rc)
{
	PCRE2_SIZE *ov = pcre2_get_ovector_pointer(data);
	int i;
	put32(rc < 0 ? 0 : rc);
	for (i = 0; i < rc; i++) {
		put32(ov[2 * i] == PCRE2_UNSET ? -1 : (int32_t)ov[2 * i]);
		put32(ov[2 * i + 1] == PCRE2_UNSET ? -1 : (int32_t)ov[2 * i + 1]);
	}
}

static void match_list(int all)
{
	uint32_t count = get32(), i;
	uint32_t *numbers = malloc((count + 1) * sizeof *numbers);
	int found = -1, rc = 0;

	get(numbers, count * sizeof *numbers);
	for (i = 0; i < count && found < 0; i++) {
		rc = match_one(numbers[i]);
		if (all) {
			put32(rc);
			put_groups(rc);
		} else if (rc > 0) {
			found = (int)i;
		}
	}
	if (!all) {
		put32(found);
		put_groups(found < 0 ? -1 : rc);
	}
	free(numbers);
	fflush(stdout);
}

int main(void)
{
	int c;
	data = pcre2_match_data_create(256, NULL);
	limits = pcre2_match_context_create(NULL);
	pcre2_set_match_limit(limits, UINT32_MAX);
	pcre2_set_depth_limit(limits, UINT32_MAX);
	pcre2_set_heap_limit(limits, UINT32_MAX);
	while ((c = getchar()) != EOF) {
		switch (c) {
		case 'P':
			compile_one();
			break;
		case 'S':
			free(subject);
			subject = get_bytes(&subject_len);
			break;
		case 'L':
			pcre2_set_match_limit(limits, get32());
			break;
		case 'F':
			match_list(0);
			break;
		case 'A':
			match_list(1);
			break;
		default:
			return 1;
		}
	}
	return 0;
}
