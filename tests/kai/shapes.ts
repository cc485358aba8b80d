import type { Approval } from '#schemas/approval.ts';
import type { Artifact } from '#schemas/artifact.ts';
import type { EventType, KosEvent, ModelDelta } from '#schemas/event.ts';
import type { JsonObject } from '#schemas/json.ts';
import type { PlanVersion } from '#schemas/plan-version.ts';
import type { Run } from '#schemas/run.ts';

/** The API's shapes with everyday content; tests say what matters to them. */

export const runId = 'run_01930000-0000-7000-8000-00000000aaaa';
export const approvalId = 'apr_01930000-0000-7000-8000-00000000bbbb';
export const artifactId = 'art_01930000-0000-7000-8000-00000000cccc';
const start = '2026-01-01T12:00:00.000Z';

export const aRun = (change: Partial<Run> = {}): Run => ({
  id: runId,
  plan: { name: 'triage', version: 1, digest: 'd'.repeat(64) },
  status: 'running',
  waitingFor: null,
  input: {},
  output: null,
  error: null,
  onFailure: null,
  labels: {},
  startedBy: 'prn_01930000-0000-7000-8000-000000000001',
  responsible: 'prn_01930000-0000-7000-8000-000000000001',
  origin: { kind: 'cli', id: null },
  createdAt: start,
  startedAt: start,
  finishedAt: null,
  costMicros: 0,
  currency: 'USD',
  parentRunId: null,
  calledFrom: null,
  cache: true,
  pinned: false,
  cancelRequestedAt: null,
  priority: 3,
  startAt: null,
  deadlineAt: null,
  deadlineAskedAt: null,
  ending: null,
  ...change,
});

export const aPlan = (document: JsonObject = {}): PlanVersion => ({
  name: 'triage',
  version: 1,
  digest: 'd'.repeat(64),
  description: 'Reads logs.',
  createdBy: 'prn_01930000-0000-7000-8000-000000000001',
  createdAt: start,
  source: 'plan: triage\nsteps: {}\n',
  document: {
    plan: 'triage',
    input: { type: 'object', properties: { path: { type: 'string' }, count: { type: 'integer' }, deep: { type: 'boolean' } } },
    steps: { read: { tool: 'fs.read' }, explain: { llm: {}, forEach: '${[1]}' }, signOff: { approval: {} }, report: { artifact: {} } },
    ...document,
  },
});

export const anApproval = (change: Partial<Approval> = {}): Approval => ({
  id: approvalId,
  runId,
  stepPath: 'signOff',
  path: 'signOff',
  status: 'open',
  message: 'Is the report right?',
  arguments: [{ stepPath: 'report', kind: 'artifact', input: { name: 'report.md', content: '# Report\nAll is well.' } }],
  endedByHand: [],
  argumentsDigest: 'a'.repeat(64),
  from: 'role:approver',
  approvers: ['role:approver'],
  required: 1,
  approvedBy: 0,
  fourEyes: false,
  createdAt: start,
  expiresAt: null,
  claim: null,
  decisions: [],
  comments: [],
  ...change,
});

export const anArtifact = (change: Partial<Artifact> = {}): Artifact => ({
  id: artifactId,
  runId,
  stepPath: 'report',
  name: 'report.md',
  mediaType: 'text/markdown',
  sizeBytes: 22,
  sha256: 'b'.repeat(64),
  createdAt: start,
  ...change,
});

export const page = <Item>(...items: Item[]): { items: Item[]; nextCursor: null } => ({ items, nextCursor: null });

/** Events of one run, numbered in the order in which they are made. */
export function eventMaker(): (type: EventType, data?: JsonObject) => KosEvent {
  let seq = 0;
  return (type, data = {}) => {
    seq += 1;
    const at = new Date(Date.parse(start) + seq * 100).toISOString();
    return { id: `evt_${seq}`, position: `epoch-${seq}`, type, workspaceId: 'ws_1', runId, at, data };
  };
}

export const aDelta = (stepPath: string, from: number, text: string, call = 1): ModelDelta => ({
  type: 'model.delta',
  workspaceId: 'ws_01930000-0000-7000-8000-000000000001',
  runId,
  at: start,
  data: { stepPath, attempt: 1, call, from, text },
});
