import { z } from 'zod';

/** Every id is a prefix that names its kind and a UUIDv7, so ids sort by creation and never collide across kinds. */
export const idPrefixes = {
  workspace: 'ws',
  principal: 'prn',
  credential: 'key',
  planVersion: 'pv',
  run: 'run',
  event: 'evt',
  audit: 'aud',
  approval: 'apr',
  wait: 'wait',
  escalation: 'esc',
  signal: 'sig',
  schedule: 'sch',
  scheduleOrder: 'sor',
  trigger: 'trg',
  webhook: 'whk',
  outgoing: 'odl',
  channel: 'chn',
  delivery: 'dlv',
  artifact: 'art',
  output: 'out',
  modelCall: 'mc',
  session: 'ses',
  job: 'job',
  link: 'lnk',
  grant: 'grt',
} as const;

export type IdKind = keyof typeof idPrefixes;

const uuidPattern = '[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}';

export const idSchema = (kind: IdKind): z.ZodString =>
  z.string().regex(new RegExp(`^${idPrefixes[kind]}_${uuidPattern}$`), `must be an id of the form ${idPrefixes[kind]}_<uuid>`);

export const idPattern = (kind: IdKind): RegExp => new RegExp(`^${idPrefixes[kind]}_${uuidPattern}$`);
