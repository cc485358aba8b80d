/** One fault inside a larger input: where it is (RFC 6901 pointer, or line and column for text) and what is wrong. */
export interface FaultDetail {
  pointer: string;
  message: string;
  /** 1-based position in the text that was given, where there is one. */
  line?: number;
  column?: number;
  suggestion?: string;
}

export interface KosErrorOptions {
  code: string;
  /** Names culprit and state. */
  message: string;
  /** Names the remedy: a command where one helps. Null when there is none. */
  fix?: string | null;
  /** The HTTP status that says this best (RFC 9110). */
  status?: number;
  retryable?: boolean;
  details?: FaultDetail[];
  /** Extra members for the problem document, e.g. the current arguments of an approval. */
  extra?: Record<string, unknown>;
  cause?: unknown;
}

/** The one error type that crosses rooms: API, CLI and step outcomes are all derived from it. */
export class KosError extends Error {
  readonly code: string;
  readonly fix: string | null;
  readonly status: number;
  readonly retryable: boolean;
  readonly details: FaultDetail[];
  readonly extra: Record<string, unknown>;

  constructor(options: KosErrorOptions) {
    super(options.message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'KosError';
    this.code = options.code;
    this.fix = options.fix ?? null;
    this.status = options.status ?? 400;
    this.retryable = options.retryable ?? false;
    this.details = options.details ?? [];
    this.extra = options.extra ?? {};
  }
}
