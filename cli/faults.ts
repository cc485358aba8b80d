import { KosError } from '#core/errors.ts';

/** The command line itself is wrong: exit code 2. */
export function usageFault(message: string, fix: string | null = null): KosError {
  return new KosError({ code: 'usage', message, fix });
}

/** Whatever was thrown, as the one error type that is printed. */
export function asKosError(thrown: unknown): KosError {
  if (thrown instanceof KosError) return thrown;
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return new KosError({ code: 'cli_failed', message, fix: null, status: 500, cause: thrown });
}
