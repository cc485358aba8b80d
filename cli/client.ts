import type { RuleTool } from '#core/approval/rules.ts';
import type { Explanation } from '#core/engine/explain.ts';
import type { RunDebug } from '#schemas/debug.ts';
import type { RunHistory } from '#schemas/history.ts';
import { type FaultDetail, KosError } from '#core/errors.ts';
import type { RunOffers } from '#schemas/again.ts';
import type { Approval, DecideApproval } from '#schemas/approval.ts';
import type { ApprovalRule, RuleDraft, RuleTrial, SetRule } from '#schemas/approval-rule.ts';
import type { Artifact } from '#schemas/artifact.ts';
import type { JsonObject } from '#schemas/json.ts';
import type { Job, JobItem } from '#schemas/job.ts';
import type { PlanDiff, PlanSide } from '#schemas/plan-diff.ts';
import type { PlanText } from '#schemas/plan-text.ts';
import type { PlanSummary, PlanVersion } from '#schemas/plan-version.ts';
import type { Run, RunStatus, StartRun, Step } from '#schemas/run.ts';
import type { BackfillPreview, Schedule, SchedulePreview, ScheduleOrder, ScheduleStart, SetSchedule } from '#schemas/schedule.ts';
import type { Delivery, DeliveryContent, MadeTrigger, SetTrigger, Trigger, TriggerTrial } from '#schemas/trigger.ts';
import type { OutgoingContent, OutgoingDelivery, RedeliverDead, Redelivered, TestResult } from '#schemas/outgoing.ts';
import type { Channel, CreateChannel, SetChannel } from '#schemas/channel.ts';
import type { MadeWebhook, SetWebhook, Webhook } from '#schemas/webhook.ts';
import type { SecretDescription } from '#schemas/secret.ts';
import type { SendSignal, Signal } from '#schemas/signal.ts';
import type { WorkspaceSettings } from '#schemas/settings.ts';
import type { Invitation, Key, MadeKey, MadeLink, Member, Person, Profile, Session, Workspace } from '#schemas/people.ts';
import type { Credentials } from './credentials.ts';
import type { Patience } from './patience.ts';
import { createTransport, newIdempotencyKey, type Request, type Transport } from './transport.ts';

export interface Page<Item> {
  items: Item[];
  nextCursor: string | null;
}

export interface PlanVerdict {
  valid: boolean;
  errors: FaultDetail[];
}

/** One line of a run's log. */
export interface LogLine {
  at: string;
  level: 'info' | 'warn' | 'error';
  text: string;
  stepPath: string | null;
  position: string;
}

export interface Overview {
  runs: Partial<Record<RunStatus, number>>;
  openApprovals: number;
  parts: Record<string, string>;
}

/** New runs of a workspace: whether they start, and which are held back. */
export interface Starts {
  hold: { since: string; by: string; reason: string } | null;
  waiting: number;
  next: { runId: string; plan: string; createdAt: string }[];
  admission: { runsAtOnce: number | null; because: 'setting' | 'no_fairness' | null; atWork: number; waiting: number };
  queueOrder: { fair: boolean; byPriority: boolean } | null;
}

export interface Me {
  principal: { id: string; name: string };
  /** Null: a person who belongs to none. A key belongs to one. */
  workspace: { id: string; slug: string; name: string } | null;
  roles: string[];
  permissions: string[];
  via: string;
  scopes: string[] | null;
  installationRole: string | null;
  login: string | null;
  version: string;
}

/** Whether this credential may do something, and if not, why. */
export interface MayI {
  action: string;
  allowed: boolean;
  obstacle: string | null;
  message: string;
  fix: string | null;
  roles: string[];
  administrators: string[];
}

export interface ShownSettings extends WorkspaceSettings {
  /** Folders that tools may reach whatever the settings say. */
  builtInRoots: WorkspaceSettings['roots'];
}

export interface Started {
  id: string;
  status: string;
  url: string;
}

export interface Tagged<Value> {
  value: Value;
  etag: string;
}

type Query = NonNullable<Request['query']>;

export type Client = ReturnType<typeof createClient>;

/** The public API as functions. One call is one action: an idempotency key is made for it and kept over its retries. */
export function createClient(loadCredentials: () => Promise<Credentials>, patience: Patience | null = null) {
  const transport = createTransport(loadCredentials, patience);
  const get = <T>(path: string, query: Query = {}): Promise<T> => readJson<T>(transport, { method: 'GET', path, query });
  const act = <T>(path: string, json: unknown, idempotencyKey = newIdempotencyKey()): Promise<T> =>
    readJson<T>(transport, { method: 'POST', path, json, idempotencyKey });
  const post = <T>(path: string, json: unknown): Promise<T> => readJson<T>(transport, { method: 'POST', path, json });
  const patch = <T>(path: string, json: unknown): Promise<T> => readJson<T>(transport, { method: 'PATCH', path, json });
  const remove = async (path: string): Promise<void> => void (await transport.send({ method: 'DELETE', path }));
  const receiversAt = <Shown, Definition>(path: string) => ({
    list: (query: Query) => get<Page<Shown>>(path, query),
    get: (id: string): Promise<Tagged<Shown>> => tagged<Shown>(transport, { method: 'GET', path: `${path}/${segment(id)}` }),
    set: (id: string, body: Definition, etag: string) =>
      readJson<Shown>(transport, { method: 'PUT', path: `${path}/${segment(id)}`, json: body, headers: { 'if-match': etag } }),
    remove: async (id: string, etag: string): Promise<void> =>
      void (await transport.send({ method: 'DELETE', path: `${path}/${segment(id)}`, headers: { 'if-match': etag } })),
    enable: (id: string, verb: 'enable' | 'disable', body: object) => post<Shown>(`${path}/${segment(id)}/${verb}`, body),
    test: (id: string) => post<TestResult>(`${path}/${segment(id)}/test`, undefined),
    deliveries: (id: string, query: Query) => get<Page<OutgoingDelivery>>(`${path}/${segment(id)}/deliveries`, query),
    delivery: (id: string, delivery: string) => get<OutgoingContent>(`${path}/${segment(id)}/deliveries/${segment(delivery)}`),
    redeliver: (id: string, delivery: string) => act<OutgoingContent>(`${path}/${segment(id)}/deliveries/${segment(delivery)}/redeliver`, undefined),
    redeliverDead: (id: string, body: RedeliverDead) => act<Redelivered>(`${path}/${segment(id)}/redeliver`, body),
  });
  return {
    transport,
    plans: {
      list: (query: Query) => get<Page<PlanSummary>>('/v1/plans', query),
      /** Its newest version, or the one named. */
      get: (name: string, version: number | null) =>
        get<PlanVersion>(version === null ? `/v1/plans/${segment(name)}` : `/v1/plans/${segment(name)}/versions/${version}`),
      versions: (name: string, query: Query) => get<Page<PlanSummary>>(`/v1/plans/${segment(name)}/versions`, query),
      validate: (text: PlanText) => readJson<PlanVerdict>(transport, { method: 'POST', path: '/v1/plans/validate', repeatable: true, ...planBody(text) }),
      /** Among others that are to be saved with it. */
      validateAmong: (text: PlanText & { beside: PlanText[] }) =>
        readJson<PlanVerdict>(transport, { method: 'POST', path: '/v1/plans/validate', repeatable: true, json: text }),
      diff: (from: PlanSide, to: PlanSide) => readJson<PlanDiff>(transport, { method: 'POST', path: '/v1/plans/diff', repeatable: true, json: { from, to } }),
      /** A version is its content, so saving twice is saving once. */
      remove: (name: string) => remove(`/v1/plans/${segment(name)}`),
      save: (text: PlanText) => readJson<PlanVersion>(transport, { method: 'POST', path: '/v1/plans', repeatable: true, ...planBody(text) }),
    },
    runs: {
      start: (body: StartRun, idempotencyKey: string) => act<Started>('/v1/runs', body, idempotencyKey),
      list: (query: Query) => get<Page<Run>>('/v1/runs', query),
      get: (id: string) => get<Run>(`/v1/runs/${segment(id)}`),
      again: (id: string) => get<RunOffers>(`/v1/runs/${segment(id)}/again`),
      /** `verb`: cancel, terminate, pause, resume, priority, … */
      act: (id: string, verb: string, body: object) => act<Run>(`/v1/runs/${segment(id)}/${verb}`, body),
      /** `verb`: override, skip, resolve. */
      actOnStep: (id: string, verb: string, body: object) => act<Step>(`/v1/runs/${segment(id)}/steps/${verb}`, body),
      replay: (id: string, body: object) => act<Started>(`/v1/runs/${segment(id)}/replay`, body),
      fork: (id: string, body: object) => act<Started & { carried: string[]; again: string[] }>(`/v1/runs/${segment(id)}/fork`, body),
      signal: (id: string, body: SendSignal, idempotencyKey: string) => act<Signal>(`/v1/runs/${segment(id)}/signals`, body, idempotencyKey),
      signals: (id: string, query: Query) => get<Page<Signal>>(`/v1/runs/${segment(id)}/signals`, query),
      pin: (id: string, pinned: boolean) => act<Run>(`/v1/runs/${segment(id)}/${pinned ? 'pin' : 'unpin'}`, undefined),
      remove: (id: string) => remove(`/v1/runs/${segment(id)}`),
      steps: (id: string, query: Query) => get<Page<Step>>(`/v1/runs/${segment(id)}/steps`, query),
      explain: (id: string) => get<Explanation>(`/v1/runs/${segment(id)}/explain`),
      history: (id: string, query: Query) => get<RunHistory>(`/v1/runs/${segment(id)}/history`, query),
      /** The document, as a response whose body is still to be read. */
      export: async (id: string, query: Query): Promise<Response> =>
        (await transport.send({ method: 'GET', path: `/v1/runs/${segment(id)}/export`, query, headers: { accept: 'application/json' } })).response,
      debug: (id: string) => get<RunDebug>(`/v1/runs/${segment(id)}/debug`),
      logs: (id: string, query: Query) => get<Page<LogLine>>(`/v1/runs/${segment(id)}/logs`, query),
    },
    jobs: {
      make: (body: object) => act<Job>('/v1/runs/bulk', body),
      get: (id: string) => get<Job>(`/v1/jobs/${segment(id)}`),
      change: (id: string, verb: 'start' | 'abort') => act<Job>(`/v1/jobs/${segment(id)}/${verb}`, undefined),
      /** All of them, page by page. */
      items: async (id: string): Promise<JobItem[]> => {
        const items: JobItem[] = [];
        for (let cursor: string | null = '0'; cursor !== null; ) {
          const page: Page<JobItem> = await get<Page<JobItem>>(`/v1/jobs/${segment(id)}/items`, { limit: 200, cursor });
          items.push(...page.items);
          cursor = page.nextCursor;
        }
        return items;
      },
    },
    approvals: {
      list: (query: Query) => get<Page<Approval>>('/v1/approvals', query),
      get: (id: string) => get<Approval>(`/v1/approvals/${segment(id)}`),
      decide: (id: string, body: DecideApproval) => act<Approval>(`/v1/approvals/${segment(id)}/decisions`, body),
      claim: (id: string, forMs: number) => act<Approval>(`/v1/approvals/${segment(id)}/claim`, { forMs }),
      release: (id: string) => act<Approval>(`/v1/approvals/${segment(id)}/release`, undefined),
      comment: (id: string, text: string) => act<Approval>(`/v1/approvals/${segment(id)}/comments`, { text }),
    },
    rules: {
      list: () => get<Page<ApprovalRule>>('/v1/approval-rules'),
      /** Its versions, newest first; the ETag is that of a rule that holds, else empty. */
      versions: (name: string): Promise<Tagged<Page<ApprovalRule>>> =>
        tagged<Page<ApprovalRule>>(transport, { method: 'GET', path: `/v1/approval-rules/${segment(name)}` }),
      set: (name: string, body: SetRule, etag: string) =>
        readJson<ApprovalRule>(transport, {
          method: 'PUT',
          path: `/v1/approval-rules/${segment(name)}`,
          json: body,
          headers: etag === '' ? {} : { 'if-match': etag },
        }),
      remove: async (name: string, etag: string): Promise<void> =>
        void (await transport.send({ method: 'DELETE', path: `/v1/approval-rules/${segment(name)}`, headers: { 'if-match': etag } })),
      test: (body: RuleDraft & { limit?: number }) =>
        readJson<RuleTrial>(transport, { method: 'POST', path: '/v1/approval-rules/test', json: body, repeatable: true }),
    },
    starts: {
      get: () => get<Starts>('/v1/starts', {}),
      hold: (reason: string) => readJson<Starts>(transport, { method: 'PUT', path: '/v1/starts/hold', json: { reason } }),
      release: () => readJson<Starts>(transport, { method: 'DELETE', path: '/v1/starts/hold' }),
    },
    cache: {
      clear: (plan: string | null) =>
        readJson<{ plan: string | null; cleared: number }>(transport, { method: 'DELETE', path: '/v1/cache', query: plan === null ? {} : { plan } }),
    },
    artifacts: {
      list: (query: Query) => get<Page<Artifact>>('/v1/artifacts', query),
      get: (id: string) => get<Artifact>(`/v1/artifacts/${segment(id)}`),
      /** The bytes, as a response whose body is still to be read. */
      content: async (id: string): Promise<Response> =>
        (await transport.send({ method: 'GET', path: `/v1/artifacts/${segment(id)}/content`, headers: { accept: '*/*' } })).response,
    },
    schedules: {
      list: (query: Query) => get<Page<Schedule>>('/v1/schedules', query),
      get: (id: string): Promise<Tagged<Schedule>> => tagged<Schedule>(transport, { method: 'GET', path: `/v1/schedules/${segment(id)}` }),
      create: (body: object) => post<Schedule>('/v1/schedules', body),
      set: (id: string, body: SetSchedule, etag: string) =>
        readJson<Schedule>(transport, { method: 'PUT', path: `/v1/schedules/${segment(id)}`, json: body, headers: { 'if-match': etag } }),
      remove: async (id: string, etag: string): Promise<void> =>
        void (await transport.send({ method: 'DELETE', path: `/v1/schedules/${segment(id)}`, headers: { 'if-match': etag } })),
      preview: (body: object) => readJson<SchedulePreview>(transport, { method: 'POST', path: '/v1/schedules/preview', json: body, repeatable: true }),
      pause: (id: string, verb: 'pause' | 'resume', body: object) => post<Schedule>(`/v1/schedules/${segment(id)}/${verb}`, body),
      run: (id: string, body: object) => act<ScheduleOrder>(`/v1/schedules/${segment(id)}/run`, body),
      previewBackfill: (id: string, body: object) =>
        readJson<BackfillPreview>(transport, { method: 'POST', path: `/v1/schedules/${segment(id)}/preview`, json: body, repeatable: true }),
      backfill: (id: string, body: object) => act<ScheduleOrder>(`/v1/schedules/${segment(id)}/backfill`, body),
      starts: (id: string, query: Query) => get<Page<ScheduleStart>>(`/v1/schedules/${segment(id)}/starts`, query),
    },
    triggers: {
      list: (query: Query) => get<Page<Trigger>>('/v1/triggers', query),
      get: (id: string): Promise<Tagged<Trigger>> => tagged<Trigger>(transport, { method: 'GET', path: `/v1/triggers/${segment(id)}` }),
      /** Not repeated: an answer that is lost has made a trigger whose secret nobody knows; rotate it. */
      create: (body: object) => post<MadeTrigger>('/v1/triggers', body),
      set: (id: string, body: SetTrigger, etag: string) =>
        readJson<Trigger>(transport, { method: 'PUT', path: `/v1/triggers/${segment(id)}`, json: body, headers: { 'if-match': etag } }),
      remove: async (id: string, etag: string): Promise<void> =>
        void (await transport.send({ method: 'DELETE', path: `/v1/triggers/${segment(id)}`, headers: { 'if-match': etag } })),
      enable: (id: string, verb: 'enable' | 'disable', body: object) => post<Trigger>(`/v1/triggers/${segment(id)}/${verb}`, body),
      rotate: (id: string, body: object) => post<MadeTrigger>(`/v1/triggers/${segment(id)}/rotate`, body),
      tryDraft: (body: object) => readJson<TriggerTrial>(transport, { method: 'POST', path: '/v1/triggers/test', json: body, repeatable: true }),
      tryOn: (id: string, body: object) =>
        readJson<TriggerTrial>(transport, { method: 'POST', path: `/v1/triggers/${segment(id)}/test`, json: body, repeatable: true }),
      deliveries: (id: string, query: Query) => get<Page<Delivery>>(`/v1/triggers/${segment(id)}/deliveries`, query),
      delivery: (id: string, delivery: string) => get<DeliveryContent>(`/v1/triggers/${segment(id)}/deliveries/${segment(delivery)}`),
      redeliver: (id: string, delivery: string) => act<Delivery>(`/v1/triggers/${segment(id)}/deliveries/${segment(delivery)}/redeliver`, undefined),
    },
    webhooks: {
      /** Not repeated: an answer that is lost has made a webhook whose secret nobody knows; rotate it. */
      create: (body: object) => post<MadeWebhook>('/v1/webhooks', body),
      rotate: (id: string, body: object) => post<MadeWebhook>(`/v1/webhooks/${segment(id)}/rotate`, body),
      ...receiversAt<Webhook, SetWebhook>('/v1/webhooks'),
    },
    channels: {
      create: (body: CreateChannel) => post<Channel>('/v1/channels', body),
      ...receiversAt<Channel, SetChannel>('/v1/channels'),
    },
    secrets: {
      list: (query: Query) => get<Page<SecretDescription>>('/v1/secrets', query),
      set: (name: string, body: { value: string; hosts: string[] }) =>
        readJson<SecretDescription>(transport, { method: 'PUT', path: `/v1/secrets/${segment(name)}`, json: body }),
      remove: (name: string) => remove(`/v1/secrets/${segment(name)}`),
    },
    settings: {
      get: (): Promise<Tagged<ShownSettings>> => tagged<ShownSettings>(transport, { method: 'GET', path: '/v1/settings' }),
      /** Each setting that is named is replaced as a whole, if nobody has changed any since `etag`. */
      change: (change: Partial<WorkspaceSettings>, etag: string) =>
        readJson<ShownSettings>(transport, { method: 'PATCH', path: '/v1/settings', json: change, headers: { 'if-match': etag } }),
    },
    keys: {
      list: (query: Query) => get<Page<Key>>('/v1/keys', query),
      /** Not repeated: an answer that is lost has made a key that nobody knows; `kai key list` shows it. */
      create: (body: { name: string; scopes: string[]; expiresInDays?: number }) => post<MadeKey>('/v1/keys', body),
      revoke: (id: string) => remove(`/v1/keys/${segment(id)}`),
    },
    members: {
      list: (query: Query) => get<Page<Member>>('/v1/members', query),
      get: (id: string) => get<Member>(`/v1/members/${segment(id)}`),
      change: (id: string, body: { roles?: string[]; disabled?: boolean }) => patch<Member>(`/v1/members/${segment(id)}`, body),
      remove: (id: string) => remove(`/v1/members/${segment(id)}`),
      invite: (body: { login: string; roles: string[] }) => post<MadeLink>('/v1/invitations', body),
      invitations: (query: Query) => get<Page<Invitation>>('/v1/invitations', query),
      uninvite: (id: string) => remove(`/v1/invitations/${segment(id)}`),
    },
    people: {
      list: (query: Query) => get<Page<Person>>('/v1/people', query),
      change: (id: string, body: { disabled?: boolean; installationRole?: 'owner' | null }) => patch<Person>(`/v1/people/${segment(id)}`, body),
      reset: (id: string) => post<MadeLink>(`/v1/people/${segment(id)}/reset`, {}),
    },
    workspaces: {
      list: () => get<Page<Workspace>>('/v1/workspaces'),
      create: (body: { slug: string; name: string }) => post<Workspace>('/v1/workspaces', body),
      rename: (id: string, name: string) => patch<Workspace>(`/v1/workspaces/${segment(id)}`, { name }),
    },
    me: () => get<Me>('/v1/me'),
    mayI: (action: string) => get<MayI>('/v1/me/may', { action }),
    makeSignInLink: () => post<MadeLink>('/v1/me/links', {}),
    rename: (name: string) => patch<Profile>('/v1/me', { name }),
    preferences: {
      get: (): Promise<Tagged<JsonObject>> => tagged<JsonObject>(transport, { method: 'GET', path: '/v1/me/preferences' }),
      /** If nobody has changed them since `etag`; null: whatever they are. */
      replace: (preferences: JsonObject, etag: string | null) =>
        readJson<JsonObject>(transport, {
          method: 'PUT',
          path: '/v1/me/preferences',
          json: preferences,
          headers: etag === null ? {} : { 'if-match': etag },
        }),
    },
    sessions: {
      list: () => get<Page<Session>>('/v1/me/sessions'),
      end: (id: string) => remove(`/v1/me/sessions/${segment(id)}`),
    },
    signOut: () => post<void>('/v1/auth/logout', {}),
    setPassword: (body: { password: string; currentPassword?: string; login?: string }) =>
      readJson<Profile>(transport, { method: 'PUT', path: '/v1/me/password', json: body }),
    tools: () => get<Page<RuleTool>>('/v1/tools'),
    overview: () => get<Overview>('/v1/overview'),
    /** `/readyz` answers 503, with the same parts, while one of them is down. */
    ready: () => readReadiness(transport),
  };
}

const segment = encodeURIComponent;

const planBody = ({ source, format }: PlanText): Pick<Request, 'json' | 'text' | 'headers'> =>
  format === 'json' ? { json: { source, format } } : { text: source, headers: { 'content-type': 'application/yaml' } };

async function readJson<T>(transport: Transport, request: Request): Promise<T> {
  const { response, status } = await transport.send(request);
  if (status === 204) return undefined as T;
  const text = await response.text();
  try {
    return JSON.parse(text) as T;
  } catch (error) {
    throw new KosError({ code: 'not_kos', message: `${request.path} answered with something that is not JSON.`, status: 502, cause: error });
  }
}

async function tagged<T>(transport: Transport, request: Request): Promise<Tagged<T>> {
  const answer = await transport.send(request);
  return { value: (await answer.response.json()) as T, etag: answer.headers.get('etag') ?? '' };
}

interface Readiness {
  ready: boolean;
  /** Status word by part: database, temporal, workers. */
  parts: Record<string, string>;
  /** The server's clock, from its `Date` header; null when it sent none. */
  serverTime: string | null;
}

async function readReadiness(transport: Transport): Promise<Readiness> {
  try {
    const { response, headers } = await transport.send({ method: 'GET', path: '/readyz', retries: 0 });
    const { parts } = (await response.json()) as Pick<Readiness, 'parts'>;
    return { ready: true, parts, serverTime: headers.get('date') };
  } catch (error) {
    if (!(error instanceof KosError) || error.code !== 'not_ready') throw error;
    return { ready: false, parts: (error.extra['parts'] ?? {}) as Readiness['parts'], serverTime: null };
  }
}
