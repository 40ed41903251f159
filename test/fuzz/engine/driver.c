/*
 * libFuzzer for JavaScript: the fuzzer runs on a thread of its own and hands each input to a function of Node's main thread,
 * which says when it is done, so that it may be asynchronous. What is covered comes from counters in the instrumented
 * bundle (instrument.ts), which libFuzzer reads as if a compiler had put them there.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <glob.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <node_api.h>

/* libclang_rt.fuzzer_no_main */
int LLVMFuzzerRunDriver(int *argc, char ***argv, int (*callback)(const uint8_t *, size_t));
void __sanitizer_cov_8bit_counters_init(uint8_t *start, uint8_t *end);

/* An input of some KiB that takes so long would hold up whoever has to read it. */
#define SLOWEST_SECONDS 10
#define ARGUMENTS_MAX 64

static napi_threadsafe_function function;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t answered;
static const uint8_t *input;
static size_t input_size;
static bool is_answered, is_good;
static int argument_count;
static char **arguments;

/* Seconds for which threads of ours were ready to run and others ran: many at idle priority on a busy machine. */
static double starved(void) {
  unsigned long long ran, waited, sum = 0;
  glob_t threads;
  if (glob("/proc/self/task/*/schedstat", GLOB_NOSORT, NULL, &threads)) return 0;
  for (size_t i = 0; i < threads.gl_pathc; i++) {
    FILE *file = fopen(threads.gl_pathv[i], "re");
    if (!file) continue;
    if (fscanf(file, "%llu %llu", &ran, &waited) == 2) sum += waited;
    fclose(file);
  }
  globfree(&threads);
  return (double)sum / 1e9;
}

/* On libFuzzer's thread: to abort there has it keep the input that was under way. */
static int try_input(const uint8_t *data, size_t size) {
  static time_t looked;
  static double before;
  struct timespec end;
  clock_gettime(CLOCK_MONOTONIC, &end);
  if (end.tv_sec != looked) {
    looked = end.tv_sec;
    before = starved();
  }
  end.tv_sec += SLOWEST_SECONDS;
  pthread_mutex_lock(&lock);
  input = data;
  input_size = size;
  is_answered = false;
  if (napi_call_threadsafe_function(function, NULL, napi_tsfn_blocking) != napi_ok) abort();
  while (!is_answered)
    if (pthread_cond_timedwait(&answered, &lock, &end) == ETIMEDOUT) {
      const double now = starved(), lost = now - before;
      before = now;
      if (lost >= 1) {
        end.tv_sec += (time_t)lost;
        continue;
      }
      fprintf(stderr, "an input takes longer than %d s\n", SLOWEST_SECONDS);
      abort();
    }
  const bool good = is_good;
  pthread_mutex_unlock(&lock);
  if (!good) abort();
  return 0;
}

static void *run(void *unused) {
  (void)unused;
  _exit(LLVMFuzzerRunDriver(&argument_count, &arguments, try_input));
}

/* libFuzzer ends by exit(), which would take Node's own state away under its threads. */
static void leave(int status, void *unused) {
  (void)unused;
  fflush(NULL);
  _exit(status);
}

/* On the main thread: function(input, done) */
static void call(napi_env env, napi_value target, void *context, void *data) {
  (void)data;
  napi_value receiver, argv[2];
  void *copy;
  if (!env || napi_get_undefined(env, &receiver) != napi_ok ||
      napi_create_buffer_copy(env, input_size, input_size ? (const void *)input : "", &copy, &argv[0]) != napi_ok ||
      napi_get_reference_value(env, context, &argv[1]) != napi_ok ||
      napi_call_function(env, receiver, target, 2, argv, NULL) != napi_ok)
    abort();
}

/* (boolean: it was good) */
static napi_value done(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value argv[1];
  bool good;
  if (napi_get_cb_info(env, info, &count, argv, NULL, NULL) != napi_ok || napi_get_value_bool(env, argv[0], &good) != napi_ok)
    abort();
  pthread_mutex_lock(&lock);
  is_answered = true;
  is_good = good;
  pthread_cond_signal(&answered);
  pthread_mutex_unlock(&lock);
  return NULL;
}

/* (arguments of libFuzzer, the program's name first; counters: Uint8Array; function(input, done)): the process ends with the run */
static napi_value start(napi_env env, napi_callback_info info) {
  size_t count = 3, length;
  uint32_t given;
  napi_value argv[3], item, name;
  napi_ref done_reference;
  void *counters;
  pthread_t thread;
  pthread_condattr_t monotonic;
  if (napi_get_cb_info(env, info, &count, argv, NULL, NULL) != napi_ok || napi_get_array_length(env, argv[0], &given) != napi_ok ||
      given >= ARGUMENTS_MAX)
    abort();
  arguments = calloc(ARGUMENTS_MAX, sizeof *arguments);
  argument_count = (int)given;
  for (uint32_t i = 0; i < given; i++) {
    if (napi_get_element(env, argv[0], i, &item) != napi_ok || napi_get_value_string_utf8(env, item, NULL, 0, &length) != napi_ok)
      abort();
    arguments[i] = calloc(length + 1, 1);
    napi_get_value_string_utf8(env, item, arguments[i], length + 1, NULL);
  }
  if (napi_get_typedarray_info(env, argv[1], NULL, &length, &counters, NULL, NULL) != napi_ok ||
      napi_create_function(env, "done", NAPI_AUTO_LENGTH, done, NULL, &item) != napi_ok ||
      napi_create_reference(env, item, 1, &done_reference) != napi_ok ||
      napi_create_string_utf8(env, "fuzz", NAPI_AUTO_LENGTH, &name) != napi_ok ||
      napi_create_threadsafe_function(env, argv[2], NULL, name, 1, 1, NULL, NULL, done_reference, call, &function) != napi_ok)
    abort();
  __sanitizer_cov_8bit_counters_init(counters, (uint8_t *)counters + length);
  pthread_condattr_init(&monotonic);
  pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
  pthread_cond_init(&answered, &monotonic);
  on_exit(leave, NULL);
  if (pthread_create(&thread, NULL, run, NULL)) abort();
  return NULL;
}

NAPI_MODULE_INIT() {
  const napi_property_descriptor calls[] = {{"start", NULL, start, NULL, NULL, NULL, napi_enumerable, NULL}};
  if (napi_define_properties(env, exports, 1, calls) != napi_ok) return NULL;
  return exports;
}
