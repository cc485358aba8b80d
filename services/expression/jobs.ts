import type { FaultDetail } from '#core/errors.ts';
import type { Scope } from '#core/expression/scope.ts';
import type { InputResult } from '#core/plan/validate-input.ts';
import type { Json } from '#schemas/json.ts';

/** What a thread of the evaluator is asked to do. All plain data: it crosses by structured clone. */
export type Job =
  | { kind: 'evaluate'; source: Json; scope: Scope }
  | { kind: 'render'; prompt: string; variables: { [name: string]: Json } }
  | { kind: 'validate'; schema: Json; input: Json }
  | { kind: 'check'; schema: Json; value: Json };

export interface JobResults {
  evaluate: Json;
  render: string;
  validate: InputResult;
  check: FaultDetail[];
}

/** What a process of the evaluator is asked; `what` names the job in failures. */
export interface HostRequest {
  job: Job;
  what: string;
}

export type HostAnswer =
  | { kind: 'done'; value: unknown }
  | { kind: 'failed'; code: string; message: string; fix: string | null; status: number; retryable: boolean };

/** What a thread answers. `ready` is sent once, when the thread can take its first job; times are the thread's processor time so far. */
export type Answer =
  | { kind: 'ready'; cpuMs: number }
  | { kind: 'done'; value: unknown; cpuMs: number }
  | { kind: 'refused'; code: string; message: string; fix: string | null; status: number; cpuMs: number };
