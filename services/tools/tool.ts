import type { z } from 'zod';
import { KosError, type KosErrorOptions } from '#core/errors.ts';

/** pure: same input, same output, nothing outside changes. idempotent: a repeat under the same effect key changes nothing more. effectful: a repeat may double. */
export type ToolEffect = 'pure' | 'idempotent' | 'effectful';

/** Folder a workspace's tools may touch. `write: true` allows reading too. */
export interface AllowedRoot {
  path: string;
  write: boolean;
}

/** The workspace's settings that bound what tools may reach; read by the activity at each call, never taken from the plan. */
export interface ToolSettings {
  roots: AllowedRoot[];
  /** `host:port` pairs, lower case, exact; `*.example.com:443` allows subdomains. */
  egress: string[];
}

export interface ToolContext {
  workspaceId: string;
  runId: string;
  stepPath: string;
  /** Run + step path: the same on every attempt. */
  effectKey: string;
  attempt: number;
  signal: AbortSignal;
  settings: ToolSettings;
  /** Opens `secret://NAME` for one `host:port` (IPv6 in brackets); refuses (KosError `secret_refused`) when the secret is not bound to it. */
  openSecret(handle: string, host: string): Promise<string>;
}

export interface Tool<Input = unknown, Output = unknown> {
  name: string;
  version: number;
  description: string;
  effect: ToolEffect;
  /**
   * It mostly answers within milliseconds, without the network: a run may wait for it in a task of its own workflow. A call that takes longer is
   * waited for elsewhere.
   */
  quick?: true;
  /** Its calls are never approved by a rule: where a plan asks for an approval, a person gives it. */
  alwaysAsk?: true;
  input: z.ZodType<Input>;
  output: z.ZodType<Output>;
  limits: { timeoutMs: number; outputBytes: number };
  execute(input: Input, context: ToolContext): Promise<Output>;
  /** Asks the outside whether the effect under this key happened; the output if so, null if it surely did not. */
  reconcile?(input: Input, context: ToolContext): Promise<Output | null>;
}

export interface ToolFailureOptions extends KosErrorOptions {
  /** none: surely nothing changed outside. unknown: something may have. */
  effect: 'none' | 'unknown';
  /** Delay that the outside asked for (Retry-After). */
  retryAfterMs?: number;
}

export class ToolFailure extends KosError {
  readonly effect: 'none' | 'unknown';
  readonly retryAfterMs: number | null;

  constructor(options: ToolFailureOptions) {
    super(options);
    this.name = 'ToolFailure';
    this.effect = options.effect;
    this.retryAfterMs = options.retryAfterMs ?? null;
  }
}

/** All tools of an installation by name; unknown names are the caller's error. */
export interface ToolRegistry {
  get(name: string): Tool | undefined;
  list(): Tool[];
}
