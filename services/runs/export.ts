import type { Readable } from 'node:stream';
import type { AuditEntry } from '#core/audit/entry.ts';
import { KosError } from '#core/errors.ts';
import { can } from '#core/policy/can.ts';
import { mayReadEvent } from '#core/policy/event-rights.ts';
import type { Permission } from '#core/policy/permissions.ts';
import type { Principal } from '#core/policy/principal.ts';
import type { Artifact } from '#schemas/artifact.ts';
import type { JsonObject } from '#schemas/json.ts';
import type { Run, Step } from '#schemas/run.ts';
import { listApprovals } from '#services/approvals/read.ts';
import { listArtifacts } from '#services/artifacts/read.ts';
import type { ArtifactStore } from '#services/artifacts/store.ts';
import type { Database, SystemDatabase, Transaction } from '#services/database/connect.ts';
import { parsePosition } from '#services/events/position.ts';
import { readEvents, readSequencerState } from '#services/events/reader.ts';
import type { Page } from '#services/paging/page.ts';
import { readPlanVersion } from '#services/plans/read.ts';
import { listSignals } from '#services/signals/read.ts';
import { listRuns } from './read.ts';
import { listSteps, readStep } from './read-steps.ts';

export interface ExportMeans {
  database: Database;
  system: SystemDatabase;
  artifacts: ArtifactStore;
}

export interface ExportRequest {
  /** Sees what they may read, section by section. */
  reader: Principal;
  run: Run;
  /** Contents of artifacts too, as base64. */
  contents: boolean;
  /** Every output whole; else large ones are named by `outputRef`. */
  wholeOutputs: boolean;
  now: Date;
}

/** Names the document's shape. */
const format = 'kos-run/1';
const pageSize = 200;

interface Section {
  name: string;
  /** Not a list: its one item. */
  single?: true;
  permission: Permission;
  /** Texts of JSON, one an item. */
  items: (means: ExportMeans, request: ExportRequest) => AsyncIterable<string | AsyncIterable<string>>;
}

/** In the document's order. */
const sections: readonly Section[] = [
  { name: 'plan', single: true, permission: 'plans:read', items: planOf },
  { name: 'steps', permission: 'runs:read', items: stepsOf },
  {
    name: 'signals',
    permission: 'runs:read',
    items: (means, request) => texts(everyPage(means, request, (tx, page) => listSignals(tx, request.run.id, page))),
  },
  {
    name: 'approvals',
    permission: 'approvals:read',
    items: (means, request) => texts(everyPage(means, request, (tx, page) => listApprovals(tx, { status: null, runId: request.run.id, ...page }))),
  },
  { name: 'artifacts', permission: 'artifacts:read', items: artifactsOf },
  {
    name: 'subRuns',
    permission: 'runs:read',
    items: (means, request) =>
      texts(everyPage(means, request, (tx, page) => listRuns(tx, { statuses: null, plan: null, parent: request.run.id, labels: {}, ...page }))),
  },
  { name: 'events', permission: 'runs:read', items: eventsOf },
  { name: 'audit', permission: 'audit:read', items: auditOf },
];

/**
 * Everything about a run as one JSON document, piece by piece: no more than a page of it is held. What the reader may not see is left out, and `withheld`
 * names it. Pages are read one after another, so of a run that goes on, later sections are younger.
 */
export async function* exportRun(means: ExportMeans, request: ExportRequest): AsyncGenerator<string> {
  const { reader, run, now } = request;
  yield `{"format":${JSON.stringify(format)},"exportedAt":${JSON.stringify(now.toISOString())},\n"run":${JSON.stringify(run)}`;
  const withheld: { section: string; permission: Permission }[] = [];
  for (const { name, permission, items, single } of sections) {
    if (!can(reader, permission)) {
      withheld.push({ section: name, permission });
      continue;
    }
    yield `,\n${JSON.stringify(name)}:${single === true ? '' : '['}`;
    yield* separated(items(means, request));
    yield single === true ? '' : ']';
  }
  yield `,\n"withheld":${JSON.stringify(withheld)}}\n`;
}

async function* separated(items: AsyncIterable<string | AsyncIterable<string>>): AsyncGenerator<string> {
  let separator = '\n';
  for await (const item of items) {
    yield separator;
    if (typeof item === 'string') yield item;
    else yield* item;
    separator = ',\n';
  }
}

async function* texts(items: AsyncIterable<unknown>): AsyncGenerator<string> {
  for await (const item of items) yield JSON.stringify(item);
}

const inWorkspace = <Result>({ database }: ExportMeans, { reader }: ExportRequest, work: (transaction: Transaction) => Promise<Result>): Promise<Result> =>
  database.inWorkspace(reader.workspaceId, work);

async function* everyPage<Item>(
  means: ExportMeans,
  request: ExportRequest,
  read: (transaction: Transaction, page: { cursor: string | null; limit: number }) => Promise<Page<Item>>,
): AsyncGenerator<Item> {
  for (let cursor: string | null | undefined; cursor !== null; ) {
    const page: Page<Item> = await inWorkspace(means, request, (transaction) => read(transaction, { cursor: cursor ?? null, limit: pageSize }));
    yield* page.items;
    cursor = page.nextCursor;
  }
}

async function* planOf(means: ExportMeans, request: ExportRequest): AsyncGenerator<string> {
  const { name, version } = request.run.plan;
  yield JSON.stringify(await inWorkspace(means, request, (transaction) => readPlanVersion(transaction, name, version)));
}

async function* stepsOf(means: ExportMeans, request: ExportRequest): AsyncGenerator<string> {
  const { id } = request.run;
  const whole = (step: Step): Promise<Step> => inWorkspace(means, request, (transaction) => readStep(transaction, id, step.path));
  for await (const step of everyPage(means, request, (transaction, page) => listSteps(transaction, id, { statuses: null, ...page })))
    yield JSON.stringify(request.wholeOutputs && step.outputRef !== undefined ? await whole(step) : step);
}

async function* artifactsOf(means: ExportMeans, request: ExportRequest): AsyncGenerator<string | AsyncIterable<string>> {
  const { reader, run, contents } = request;
  for await (const artifact of everyPage(means, request, (transaction, page) => listArtifacts(transaction, { runId: run.id, ...page })))
    yield contents ? withContent(means.artifacts, reader.workspaceId, artifact) : JSON.stringify(artifact);
}

async function* withContent(store: ArtifactStore, workspaceId: string, artifact: Artifact): AsyncGenerator<string> {
  const stream = await openContent(store, workspaceId, artifact);
  if (stream === null) {
    yield JSON.stringify({ ...artifact, content: null });
    return;
  }
  yield `${JSON.stringify(artifact).slice(0, -1)},"content":"`;
  yield* base64Of(stream);
  yield '"}';
}

/** Null: the store has lost it. The rest of the run is worth having all the same. */
async function openContent(store: ArtifactStore, workspaceId: string, { sha256 }: Artifact): Promise<Readable | null> {
  try {
    return (await store.open({ workspaceId, sha256 })).stream;
  } catch (error) {
    if (error instanceof KosError && error.code === 'artifact_content_missing') return null;
    throw error;
  }
}

/** Three bytes are four characters, so what does not fill three waits for the next piece. */
async function* base64Of(stream: Readable): AsyncGenerator<string> {
  let rest: Buffer = Buffer.alloc(0);
  for await (const piece of stream as AsyncIterable<Buffer>) {
    const bytes = Buffer.concat([rest, piece]);
    const whole = bytes.length - (bytes.length % 3);
    yield bytes.toString('base64', 0, whole);
    rest = bytes.subarray(whole);
  }
  yield rest.toString('base64');
}

async function* eventsOf({ database, system }: ExportMeans, { reader, run }: ExportRequest): AsyncGenerator<string> {
  const { epoch } = await readSequencerState(system);
  for (let afterSeq = 0; ; ) {
    const events = await readEvents(database, { workspaceId: reader.workspaceId, runId: run.id }, epoch, afterSeq, pageSize);
    for (const event of events) if (mayReadEvent(reader, event.type)) yield JSON.stringify(event);
    if (events.length < pageSize) return;
    afterSeq = parsePosition(events.at(-1)?.position ?? '')?.seq ?? afterSeq;
  }
}

interface AuditRow extends Omit<AuditEntry, 'at'> {
  at: Date;
  data: JsonObject;
  leafIndex: number | null;
  inserted: number;
}

/** Of the run itself and of its approvals, in the order in which they were written. */
async function* auditOf(means: ExportMeans, request: ExportRequest): AsyncGenerator<string> {
  const { id } = request.run;
  for (let after = 0; ; ) {
    const rows = await inWorkspace(
      means,
      request,
      ({ sql }) => sql<AuditRow[]>`
        select id, workspace_id as "workspaceId", at, actor, action, subject, data, leaf_index as "leafIndex", inserted from kos.audit_entries
        where workspace_id = ${request.reader.workspaceId} and (subject = ${id} or subject in (select id from kos.approvals where run_id = ${id})) and inserted > ${after}
        order by inserted limit ${pageSize}`,
    );
    for (const { inserted: _inserted, at, ...entry } of rows) yield JSON.stringify({ ...entry, at: at.toISOString() });
    if (rows.length < pageSize) return;
    after = rows.at(-1)?.inserted ?? after;
  }
}
