/* The loop of pickllm/core/replay.py in C, for the paper's two learners and four LLMs: what a careful programmer
   gets out of the machine, with explicit vectors as wide as the machine's, 32 sessions in lockstep.
   Same draws, choices, locks and checkpoints as the package, to the last bit (benchmarks/engine.py compares).

   cc -O3 -march=native -ffp-contract=off -shared -fPIC engine.c -o engine.so */

#include <math.h>
#include <stdint.h>

#ifdef __AVX512F__
enum { WIDE = 8 };
#define STEPS {0, 1, 2, 3, 4, 5, 6, 7}
#else
enum { WIDE = 4 };
#define STEPS {0, 1, 2, 3}
#endif
enum { M = 4, LANES = 32, GROUPS = LANES / WIDE, TILE = 128 };

typedef double vd __attribute__((vector_size(8 * WIDE)));
typedef int64_t vi __attribute__((vector_size(8 * WIDE)));
typedef uint64_t vu __attribute__((vector_size(8 * WIDE)));
typedef int32_t vh __attribute__((vector_size(4 * WIDE)));

static const uint64_t GAMMA = 0x9E3779B97F4A7C15u;

static inline vd uniform(vu z)
{
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return __builtin_convertvector((z ^ (z >> 31)) >> 11, vd) * 0x1p-53;
}

static inline vd pick(vi mask, vd yes, vd no) { return (vd)(((vi)yes & mask) | ((vi)no & ~mask)); }

static inline vi pick_whole(vi mask, vi yes, vi no) { return (yes & mask) | (no & ~mask); }

static inline vd same(double x) { return (vd){} + x; }

typedef struct {
    double rate, start, explore, exploit, limit; /* explore and exploit: epsilon-greedy; limit: the automaton's lock */
    int64_t patience;                            /* queries that the greedy LLM stays the same: Q-learning's lock */
} setting;

typedef union { vd v[GROUPS]; double at[LANES]; } doubles;
typedef union { vi v[GROUPS]; int64_t at[LANES]; } wholes;
typedef union { vu v[GROUPS]; uint64_t at[LANES]; } words;

/* values: 0 = L_R-I, 1 = Q-learning; a constant at each call, so that the branches on it vanish. */
static inline __attribute__((always_inline)) void
loop(const int values, int64_t sessions, int64_t queries, int64_t rows, const double *restrict rewards,
     const uint64_t *restrict query_keys, const uint64_t *restrict choice_keys, const int64_t *restrict shown,
     const setting *s, int64_t n_marks, const int64_t *restrict marks, int64_t *restrict locked_at, int64_t *restrict locked_model,
     int32_t *restrict asked, int16_t *restrict chosen, double *restrict recorded)
{
    const vd explore = same(s->explore), exploit = same(s->exploit);
    for (int64_t first = 0; first < sessions; first += LANES) {
        int count = sessions - first < LANES ? (int)(sessions - first) : LANES;
        doubles w[M], rate, limit, reward;
        wholes arm, greedy, run, patience;
        int64_t model[LANES][M]; /* the LLM at each place of the pool as a session is shown it */
        words key, query_key;
        static _Thread_local int32_t tile_asked[LANES][TILE] __attribute__((aligned(64)));
        static _Thread_local int16_t tile_chosen[LANES][TILE];
        int learning = count;
        for (int i = 0; i < LANES; i++) {
            int64_t who = first + (i < count ? i : count - 1);
            for (int j = 0; j < M; j++) w[j].at[i] = s->start, model[i][j] = shown[who * M + j];
            rate.at[i] = i < count ? s->rate : 0, limit.at[i] = i < count ? s->limit : INFINITY;
            patience.at[i] = i < count ? s->patience : INT64_MAX, greedy.at[i] = 0, run.at[i] = 0;
            key.at[i] = choice_keys[who], query_key.at[i] = query_keys[who];
        }
        for (int i = 0; i < count; i++) locked_at[first + i] = locked_model[first + i] = -1;
        int64_t mark = 0;
        for (int64_t begin = 0; begin < queries; begin += TILE) {
            int n = queries - begin < TILE ? (int)(queries - begin) : TILE;
            for (int i = 0; i < count; i++) /* what each session asks in this tile, a vector of steps at once */
                for (int t = 0; t < TILE; t += WIDE) {
                    vu steps = STEPS;
                    vd u = uniform(query_key.at[i] + (steps + (uint64_t)(begin + t + 1)) * GAMMA);
                    *(vh *)(tile_asked[i] + t) = __builtin_convertvector(u * (double)rows, vh);
                }
            for (int i = count; i < LANES; i++)
                for (int t = 0; t < TILE; t++) tile_asked[i][t] = 0;
            for (int t = 0; t < n + (begin + n == queries); t++) {
                if (mark < n_marks && marks[mark] == begin + t) {
                    for (int i = 0; i < count; i++)
                        for (int j = 0; j < M; j++)
                            recorded[((first + i) * n_marks + mark) * M + model[i][j]] =
                                values ? (greedy.at[i] == j ? s->exploit : s->explore) : w[j].at[i];
                    mark++;
                }
                if (t == n || !learning) continue;
                const uint64_t counter = (uint64_t)(begin + t + 1) * GAMMA;
                vd value[GROUPS];
                for (int g = 0; g < GROUPS; g++) {
                    vd u = uniform(key.v[g] + counter), v = w[0].v[g];
                    vd below = values ? pick(greedy.v[g] == 0, exploit, explore) : v;
                    vi a = {};
                    for (int j = 1; j < M; j++) {
                        vi past = below <= u;
                        v = pick(past, w[j].v[g], v);
                        a -= past;
                        below += values ? pick(greedy.v[g] == j, exploit, explore) : w[j].v[g];
                    }
                    arm.v[g] = a, value[g] = v;
                }
                for (int i = 0; i < LANES; i++) {
                    int64_t asks = model[i][arm.at[i]];
                    tile_chosen[i][t] = (int16_t)asks;
                    reward.at[i] = rewards[(int64_t)tile_asked[i][t] * M + asks];
                }
                vi hit = {};
                for (int g = 0; g < GROUPS; g++) {
                    vd v = value[g], r = reward.v[g];
                    if (values) {
                        vd now = v + rate.v[g] * (r - v), best;
                        vi most = {};
                        for (int j = 0; j < M; j++) {
                            w[j].v[g] = pick(arm.v[g] == j, now, w[j].v[g]);
                            vi more = j ? w[j].v[g] > best : most;
                            best = j ? pick(more, w[j].v[g], best) : w[j].v[g];
                            most = pick_whole(more, (vi){} + j, most);
                        }
                        run.v[g] = (run.v[g] + 1) & (most == greedy.v[g]);
                        greedy.v[g] = most;
                        hit |= run.v[g] >= patience.v[g];
                    } else {
                        vd step = rate.v[g] * r, more = v + step * (1 - v), keep = 1 - step;
                        for (int j = 0; j < M; j++) w[j].v[g] = pick(arm.v[g] == j, more, w[j].v[g] * keep);
                        hit |= more >= limit.v[g];
                    }
                }
                int64_t any = 0;
                for (int i = 0; i < WIDE; i++) any |= hit[i];
                if (any)
                    for (int i = 0; i < count; i++) {
                        int best = 0;
                        for (int j = 1; j < M; j++) best = w[j].at[i] > w[best].at[i] ? j : best;
                        if (locked_at[first + i] < 0 && (values ? run.at[i] >= patience.at[i] : w[best].at[i] >= limit.at[i])) {
                            locked_at[first + i] = begin + t + 1, locked_model[first + i] = model[i][best];
                            rate.at[i] = 0, limit.at[i] = INFINITY, patience.at[i] = INT64_MAX, learning--;
                        }
                    }
            }
            for (int i = 0; i < count; i++) {
                int32_t *a = asked + (first + i) * queries + begin;
                int16_t *c = chosen + (first + i) * queries + begin, lock = (int16_t)locked_model[first + i];
                int64_t at = locked_at[first + i] < 0 ? n : locked_at[first + i] - begin;
                for (int t = 0; t < n; t++) a[t] = tile_asked[i][t];
                for (int t = 0; t < n; t++) c[t] = t >= at ? lock : tile_chosen[i][t];
            }
        }
    }
}

#define ENTRY(NAME, VALUES)                                                                                              \
    void NAME(int64_t sessions, int64_t queries, int64_t rows, const double *rewards, const uint64_t *query_keys,        \
              const uint64_t *choice_keys, const int64_t *shown, const setting *s, int64_t n_marks, const int64_t *marks, int64_t *locked_at,  \
              int64_t *locked_model, int32_t *asked, int16_t *chosen, double *recorded)                                  \
    {                                                                                                                    \
        loop(VALUES, sessions, queries, rows, rewards, query_keys, choice_keys, shown, s, n_marks, marks, locked_at,            \
             locked_model, asked, chosen, recorded);                                                                     \
    }

ENTRY(automaton, 0)
ENTRY(qlearning, 1)
