/* A program that crashes as it is told, and lets Crashpad's handler write a dump of it.
 *
 *     notes HOW HANDLER OPTION...
 *
 * HOW is "read" (of a null pointer, three functions deep), "call" (of one) or "abort". BUILD 2 has
 * code more than BUILD 1 before the functions that crash, so that they lie elsewhere.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define FUNCTION __attribute__((noipa))

/* What --trace-parent-with-exception points at: packed, and the same for all processors. */
struct __attribute__((packed)) exception {
  uint64_t siginfo;
  uint64_t context;
  int32_t thread;
};

static struct exception raised;
static char trace_option[64];
static char **handler;
static volatile int counted;

static void dump(int signal_number, siginfo_t *siginfo, void *context) {
  raised.siginfo = (uintptr_t)siginfo;
  raised.context = (uintptr_t)context;
  raised.thread = (int32_t)syscall(SYS_gettid);
  prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
  pid_t child = fork();
  if (child == 0) {
    snprintf(trace_option, sizeof trace_option, "--trace-parent-with-exception=0x%llx",
             (unsigned long long)(uintptr_t)&raised);
    execv(handler[0], handler);
    _exit(127);
  }
  waitpid(child, NULL, 0);
  signal(signal_number, SIG_DFL);
  raise(signal_number);
}

#if BUILD > 1
FUNCTION void count_notes(int number) {
  for (int i = 0; i < number; i++) counted += i * number;
}
#endif

FUNCTION void close_note(void) { counted++; }

FUNCTION int read_note(const char *how, volatile int *page) {
  void (*volatile nothing)(void) = NULL;
  int read = 0;
  if (strcmp(how, "abort") == 0) abort();
  if (strcmp(how, "call") == 0) nothing();
  read = *page;
  close_note();
  return read;
}

FUNCTION int open_note(const char *how, volatile int *page) {
  int read = read_note(how, page);
  close_note();
  return read;
}

FUNCTION int show_notes(const char *how, volatile int *page) {
  int read = open_note(how, page);
#if BUILD > 1
  count_notes(read);
#endif
  close_note();
  return read;
}

int main(int count, char **arguments) {
  static char stack[1 << 16];
  stack_t other_stack = {.ss_sp = stack, .ss_size = sizeof stack};
  struct sigaction on_crash = {.sa_sigaction = dump, .sa_flags = SA_SIGINFO | SA_ONSTACK};
  if (count < 3) return 2;
  handler = calloc((size_t)count, sizeof *handler); /* its options, ours, and the end */
  memcpy(handler, arguments + 2, (size_t)(count - 2) * sizeof *handler);
  handler[count - 2] = trace_option;
  sigaltstack(&other_stack, NULL);
  sigaction(SIGSEGV, &on_crash, NULL);
  sigaction(SIGABRT, &on_crash, NULL);
  return show_notes(arguments[1], NULL);
}
