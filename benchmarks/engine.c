/* The loop of pickllm/sessions.py in C, for the paper's two learners and four LLMs: what a careful programmer
   gets out of the machine. Sessions run in lanes, one array per LLM, and the compiler is asked for vectors.
   Same draws, choices, locks and checkpoints as the package, to the last bit (benchmarks/engine.py compares).

   cc -O3 -march=native -ffp-contract=off -shared -fPIC engine.c -o engine.so */

#include <math.h>
#include <stdint.h>
#include <string.h>

enum { M = 4, LANES = 32, TILE = 128 };

static const uint64_t GAMMA = 0x9E3779B97F4A7C15u;

static inline double uniform(uint64_t z)
{
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return (double)((z ^ (z >> 31)) >> 11) * 0x1p-53;
}

typedef struct {
    double rate, start, explore, exploit, limit; /* explore and exploit: epsilon-greedy; limit: the automaton's lock */
    int64_t patience;                            /* queries that the greedy LLM stays the same: Q-learning's lock */
} setting;

/* values: 0 = L_R-I, 1 = Q-learning. recorded is (sessions, n_marks, M); asked and chosen (sessions, queries). */
#define LOOP(NAME, VALUES)                                                                                                 \
    void NAME(int64_t sessions, int64_t queries, int64_t rows, const double *rewards, const uint64_t *query_keys,          \
              const uint64_t *choice_keys, const setting *s, int64_t n_marks, const int64_t *marks, int64_t *locked_at,    \
              int64_t *locked_model, int32_t *asked, int16_t *chosen, double *recorded)                                    \
    {                                                                                                                      \
        double w[M][LANES], rate[LANES], limit[LANES], value[LANES], reward[LANES];                                        \
        int64_t arm[LANES], greedy[LANES], run[LANES], patience[LANES];                                                    \
        uint64_t key[LANES];                                                                                               \
        int32_t tile_asked[TILE][LANES];                                                                                   \
        int16_t tile_chosen[TILE][LANES];                                                                                  \
        for (int64_t first = 0; first < sessions; first += LANES) {                                                        \
            int count = sessions - first < LANES ? (int)(sessions - first) : LANES;                                        \
            uint64_t query_key[LANES];                                                                                     \
            for (int i = 0; i < LANES; i++) {                                                                              \
                int64_t who = first + (i < count ? i : count - 1);                                                         \
                for (int j = 0; j < M; j++) w[j][i] = s->start;                                                            \
                rate[i] = i < count ? s->rate : 0, limit[i] = i < count ? s->limit : INFINITY;                             \
                patience[i] = i < count ? s->patience : INT64_MAX, greedy[i] = 0, run[i] = 0;                              \
                key[i] = choice_keys[who], query_key[i] = query_keys[who];                                                 \
            }                                                                                                              \
            for (int i = 0; i < count; i++) locked_at[first + i] = locked_model[first + i] = -1;                           \
            int64_t mark = 0;                                                                                              \
            for (int64_t begin = 0; begin < queries; begin += TILE) {                                                      \
                int n = queries - begin < TILE ? (int)(queries - begin) : TILE;                                            \
                for (int t = 0; t <= n; t++) {                                                                             \
                    if (t == n && begin + n < queries) break;                                                              \
                    if (mark < n_marks && marks[mark] == begin + t) {                                                      \
                        for (int i = 0; i < count; i++)                                                                    \
                            for (int j = 0; j < M; j++)                                                                    \
                                recorded[((first + i) * n_marks + mark) * M + j] =                                         \
                                    VALUES ? (greedy[i] == j ? s->exploit : s->explore) : w[j][i];                         \
                        mark++;                                                                                            \
                    }                                                                                                      \
                    if (t == n) break;                                                                                     \
                    uint64_t counter = (uint64_t)(begin + t + 1) * GAMMA;                                                  \
                    for (int i = 0; i < LANES; i++)                                                                        \
                        tile_asked[t][i] = (int32_t)(uniform(query_key[i] + counter) * (double)rows);                      \
                    for (int i = 0; i < LANES; i++) {                                                                      \
                        double u = uniform(key[i] + counter);                                                              \
                        double below = VALUES ? (greedy[i] == 0 ? s->exploit : s->explore) : w[0][i], v = w[0][i];         \
                        int64_t a = 0;                                                                                     \
                        for (int j = 1; j < M; j++) {                                                                      \
                            v = below <= u ? w[j][i] : v;                                                                  \
                            a += below <= u;                                                                               \
                            below += VALUES ? (greedy[i] == j ? s->exploit : s->explore) : w[j][i];                        \
                        }                                                                                                  \
                        arm[i] = a, value[i] = v;                                                                          \
                    }                                                                                                      \
                    for (int i = 0; i < LANES; i++) tile_chosen[t][i] = (int16_t)arm[i];                                   \
                    for (int i = 0; i < LANES; i++) reward[i] = rewards[(int64_t)tile_asked[t][i] * M + arm[i]];           \
                    int64_t hit = 0;                                                                                       \
                    for (int i = 0; i < LANES; i++) {                                                                      \
                        if (VALUES) {                                                                                      \
                            double now = value[i] + rate[i] * (reward[i] - value[i]);                                      \
                            for (int j = 0; j < M; j++) w[j][i] = arm[i] == j ? now : w[j][i];                             \
                        } else {                                                                                           \
                            double step = rate[i] * reward[i], more = value[i] + step * (1 - value[i]), keep = 1 - step;   \
                            for (int j = 0; j < M; j++) w[j][i] = arm[i] == j ? more : w[j][i] * keep;                     \
                            hit |= more >= limit[i];                                                                       \
                        }                                                                                                  \
                    }                                                                                                      \
                    if (VALUES)                                                                                            \
                        for (int i = 0; i < LANES; i++) {                                                                  \
                            double best = w[0][i];                                                                         \
                            int64_t g = 0;                                                                                 \
                            for (int j = 1; j < M; j++) g = w[j][i] > best ? j : g, best = w[j][i] > best ? w[j][i] : best; \
                            run[i] = g == greedy[i] ? run[i] + 1 : 0;                                                      \
                            greedy[i] = g;                                                                                 \
                            hit |= run[i] >= patience[i];                                                                  \
                        }                                                                                                  \
                    if (hit)                                                                                               \
                        for (int i = 0; i < count; i++) {                                                                  \
                            int best = 0;                                                                                  \
                            for (int j = 1; j < M; j++) best = w[j][i] > w[best][i] ? j : best;                            \
                            if (locked_at[first + i] < 0 && (VALUES ? run[i] >= patience[i] : w[best][i] >= limit[i])) {   \
                                locked_at[first + i] = begin + t + 1, locked_model[first + i] = best;                      \
                                rate[i] = 0, limit[i] = INFINITY, patience[i] = INT64_MAX;                                 \
                            }                                                                                              \
                        }                                                                                                  \
                }                                                                                                          \
                for (int i = 0; i < count; i++) {                                                                          \
                    int32_t *a = asked + (first + i) * queries + begin;                                                    \
                    int16_t *c = chosen + (first + i) * queries + begin;                                                   \
                    int64_t at = locked_at[first + i] < 0 ? INT64_MAX : locked_at[first + i] - begin;                      \
                    for (int t = 0; t < n; t++) a[t] = tile_asked[t][i];                                                   \
                    for (int t = 0; t < n; t++) c[t] = t >= at ? (int16_t)locked_model[first + i] : tile_chosen[t][i];     \
                }                                                                                                          \
            }                                                                                                              \
        }                                                                                                                  \
    }

LOOP(automaton, 0)
LOOP(qlearning, 1)
