import { sql } from 'drizzle-orm';
import { bigserial, boolean, index, integer, json, jsonb, primaryKey, text, uniqueIndex } from 'drizzle-orm/pg-core';
import type { ApprovalArgument, ApprovalComment, ApprovalDecision } from '#schemas/approval.ts';
import type { Json, JsonObject } from '#schemas/json.ts';
import { instant, kos, workspaceId } from './columns.ts';

/** A wait is a row with a deadline; the workflow's timer only reminds of it. */
export const waits = kos.table(
  'waits',
  {
    id: text('id').primaryKey(),
    workspaceId: workspaceId(),
    runId: text('run_id').notNull(),
    stepPath: text('step_path').notNull(),
    kind: text('kind').$type<'timer' | 'approval' | 'signal' | 'run' | 'check'>().notNull(),
    /** Of a signal. */
    signalName: text('signal_name'),
    /** The run whose end is waited for. */
    childRunId: text('child_run_id'),
    /** The workflow that is to be told of its end; null: the run's own. */
    toldTo: text('told_to'),
    status: text('status').$type<'open' | 'settled' | 'expired' | 'voided'>().notNull().default('open'),
    version: integer('version').notNull().default(1),
    openedAt: instant('opened_at').notNull().default(sql`now()`),
    /** A timer ends here; an approval expires here. Null: never. */
    expiresAt: instant('expires_at'),
    closedAt: instant('closed_at'),
    /** Of a check: when it is looked again, and when it was last. */
    nextLookAt: instant('next_look_at'),
    lastLookAt: instant('last_look_at'),
    looks: integer('looks').notNull().default(0),
    /** Of a check: calls that failed since the last that did not. */
    failures: integer('failures').notNull().default(0),
  },
  (table) => [
    index('waits_by_run').on(table.runId, table.stepPath),
    index('waits_open').on(table.expiresAt).where(sql`status = 'open'`),
    index('waits_for_runs').on(table.childRunId).where(sql`status = 'open' and child_run_id is not null`),
    index('waits_for_signals').on(table.runId, table.signalName).where(sql`status = 'open' and signal_name is not null`),
  ],
);

export const approvals = kos.table(
  'approvals',
  {
    id: text('id').primaryKey(),
    workspaceId: workspaceId(),
    waitId: text('wait_id').notNull(),
    runId: text('run_id').notNull(),
    stepPath: text('step_path').notNull(),
    status: text('status').$type<'open' | 'approved' | 'denied' | 'expired' | 'voided'>().notNull().default('open'),
    message: text('message'),
    arguments: json('arguments').$type<ApprovalArgument[]>().notNull(),
    argumentsDigest: text('arguments_digest').notNull(),
    from: text('from').notNull(),
    required: integer('required').notNull(),
    fourEyes: boolean('four_eyes').notNull(),
    decisions: jsonb('decisions').$type<ApprovalDecision[]>().notNull().default([]),
    createdAt: instant('created_at').notNull().default(sql`now()`),
    expiresAt: instant('expires_at'),
    decidedAt: instant('decided_at'),
    /** Who may decide, people and agents by id. Null: `from` alone, a role, as earlier releases wrote it. */
    approvers: jsonb('approvers').$type<string[]>(),
    /** What the digest covers besides message and arguments. Null in what earlier releases wrote. */
    covers: jsonb('covers').$type<{ plan: string; tools: Record<string, number> }>(),
    comments: jsonb('comments').$type<ApprovalComment[]>().notNull().default([]),
    claimedBy: text('claimed_by'),
    claimedUntil: instant('claimed_until'),
  },
  (table) => [
    index('approvals_by_run').on(table.runId),
    index('approvals_newest').on(table.workspaceId, table.createdAt.desc(), table.id.desc()),
    index('approvals_open').on(table.workspaceId).where(sql`status = 'open'`),
  ],
);

/** What was sent to a run under a name. A step takes the oldest that nobody took, whether it came before the step or after. */
export const signals = kos.table(
  'signals',
  {
    id: text('id').primaryKey(),
    workspaceId: workspaceId(),
    runId: text('run_id').notNull(),
    name: text('name').notNull(),
    /** Order of arrival within its run, from 1. */
    position: integer('position').notNull(),
    payload: json('payload').$type<Json>().notNull(),
    sentBy: text('sent_by').notNull(),
    receivedAt: instant('received_at').notNull().default(sql`now()`),
    /** Path of the step that took it, and the wait it ended (null: it was there before its step). */
    takenBy: text('taken_by'),
    takenAt: instant('taken_at'),
    waitId: text('wait_id'),
  },
  (table) => [uniqueIndex('signals_by_run').on(table.runId, table.position), index('signals_untaken').on(table.runId, table.name).where(sql`taken_by is null`)],
);

/** What happens to an open approval that nobody decides; each with a deadline of its own. */
export const approvalEscalations = kos.table(
  'approval_escalations',
  {
    id: text('id').primaryKey(),
    workspaceId: workspaceId(),
    runId: text('run_id').notNull(),
    waitId: text('wait_id').notNull(),
    approvalId: text('approval_id').notNull(),
    dueAt: instant('due_at').notNull(),
    /** Who may decide from then on, too, as the plan says it; null: an event only. */
    to: jsonb('to').$type<string[]>(),
    /** Null: still to come, if the approval stays open that long. */
    happenedAt: instant('happened_at'),
  },
  (table) => [index('approval_escalations_by_wait').on(table.waitId), index('approval_escalations_by_run').on(table.runId)],
);

/** Rules that approve calls of tools in a workspace; a row is one version and never changes. */
export const approvalRules = kos.table(
  'approval_rules',
  {
    workspaceId: workspaceId(),
    name: text('name').notNull(),
    version: integer('version').notNull(),
    tool: text('tool').notNull(),
    /** An expression over `arguments`; null: always. */
    condition: text('condition'),
    description: text('description'),
    removed: boolean('removed').notNull().default(false),
    createdBy: text('created_by').notNull(),
    createdAt: instant('created_at').notNull().default(sql`now()`),
  },
  (table) => [primaryKey({ columns: [table.workspaceId, table.name, table.version] })],
);

/** What must still be told to Temporal; written in the transaction of the change, sent until it is taken. */
export const outbox = kos.table(
  'outbox',
  {
    id: bigserial('id', { mode: 'number' }).primaryKey(),
    workspaceId: workspaceId(),
    runId: text('run_id').notNull(),
    kind: text('kind').$type<'start' | 'decision' | 'cancel' | 'control' | 'terminate' | 'onFailure'>().notNull(),
    payload: jsonb('payload').$type<JsonObject>().notNull(),
    attempts: integer('attempts').notNull().default(0),
    nextAttemptAt: instant('next_attempt_at').notNull().default(sql`now()`),
    lastError: text('last_error'),
    createdAt: instant('created_at').notNull().default(sql`now()`),
  },
  (table) => [index('outbox_due').on(table.nextAttemptAt)],
);
