import type { z } from 'zod';
import type { FaultDetail } from '#core/errors.ts';
import { didYouMean } from '#core/expression/closest-name.ts';
import { escapePointer } from '#core/expression/template.ts';
import type { Role } from '#core/policy/permissions.ts';
import { callsOf } from '#core/plan/called-plans.ts';
import { digestOf } from '#core/plan/load.ts';
import { parsePlan } from '#core/plan/parse.ts';
import { type DocumentFault, faultsOf, keyFault, valueFault } from '#core/plan/schema-faults.ts';
import { type Locator, readText } from '#core/plan/source.ts';
import {
  type ChannelFile,
  channelFileSchema,
  type FileKind,
  namedKinds,
  rolesFileSchema,
  type RuleFile,
  ruleFileSchema,
  type ScheduleFile,
  scheduleFileSchema,
  type SettingsFile,
  settingsFileSchema,
  type TriggerFile,
  triggerFileSchema,
  type WebhookFile,
  webhookFileSchema,
} from '#schemas/files.ts';
import type { Json, JsonObject } from '#schemas/json.ts';

export interface FileText {
  path: string;
  text: string;
}

export interface FileFault {
  path: string;
  fault: FaultDetail;
}

/** Where something was written, to say what is wrong with it. */
export interface Written {
  path: string;
  /** Of the thing within its document. */
  pointer: string;
  locate: Locator;
}

export interface WantedPlan extends Written {
  name: string;
  source: string;
  format: 'yaml' | 'json';
  document: JsonObject;
  digest: string;
  /** References of the plans that it runs. */
  calls: string[];
}

/** What files say that a workspace is to be, by name. */
export interface Wanted {
  settings: (Written & { document: SettingsFile }) | null;
  plans: Map<string, WantedPlan>;
  schedules: Map<string, Written & { document: ScheduleFile }>;
  triggers: Map<string, Written & { document: TriggerFile }>;
  webhooks: Map<string, Written & { document: WebhookFile }>;
  channels: Map<string, Written & { document: ChannelFile }>;
  rules: Map<string, Written & { document: RuleFile }>;
  /** By login. */
  roles: Map<string, Written & { roles: Role[] }>;
  /** Plans that files name and that cannot be read: that is said once, and not of all who use them. */
  unreadable: Set<string>;
}

/** The form of every file; what they say of one another and of what is there is for `checkWanted`. */
export function readFiles(files: readonly FileText[]): { wanted: Wanted; faults: FileFault[] } {
  const reader = new FilesReader();
  for (const file of files) reader.read(file);
  return reader;
}

const formatOf = (path: string): 'yaml' | 'json' => (path.endsWith('.json') ? 'json' : 'yaml');

class FilesReader {
  readonly wanted: Wanted = {
    settings: null,
    plans: new Map(),
    schedules: new Map(),
    triggers: new Map(),
    webhooks: new Map(),
    channels: new Map(),
    rules: new Map(),
    roles: new Map(),
    unreadable: new Set(),
  };
  readonly faults: FileFault[] = [];

  read({ path, text }: FileText): void {
    const read = readText(text, formatOf(path));
    if (!read.ok) this.#refuse(path, read.faults);
    else if (isPlan(read.document)) this.#readPlan(path, text, read.document['plan']);
    else this.#readNamed({ path, pointer: '', locate: read.locate }, read.document);
  }

  #readPlan(path: string, source: string, name: Json | undefined): void {
    const format = formatOf(path);
    const result = parsePlan(source, format);
    if (!result.ok) {
      if (typeof name === 'string') this.wanted.unreadable.add(name);
      this.#refuse(path, result.faults);
      return;
    }
    const { plan, document, locate = () => undefined } = result.parsed;
    const written = { path, pointer: '/plan', locate };
    this.#add(this.wanted.plans, 'plan', plan.plan, {
      ...written,
      name: plan.plan,
      source,
      format,
      document,
      digest: digestOf(document),
      calls: callsOf(document),
    });
  }

  #readNamed(written: Written, document: Json): void {
    const kind = kindOf(document);
    if (typeof kind !== 'string') {
      this.#refuseAt(written, [kind]);
      return;
    }
    switch (kind) {
      case 'settings': {
        const settings = this.#parse(settingsFileSchema, written, document);
        if (settings !== null && this.wanted.settings !== null)
          this.#refuseAt(written, [keyFault('/kind', `${this.wanted.settings.path} holds the settings already`)]);
        else if (settings !== null) this.wanted.settings = { ...written, document: settings };
        return;
      }
      case 'schedule':
        this.#addNamed(this.wanted.schedules, scheduleFileSchema, written, document);
        return;
      case 'trigger':
        this.#addNamed(this.wanted.triggers, triggerFileSchema, written, document);
        return;
      case 'webhook':
        this.#addNamed(this.wanted.webhooks, webhookFileSchema, written, document);
        return;
      case 'channel':
        this.#addNamed(this.wanted.channels, channelFileSchema, written, document);
        return;
      case 'rule':
        this.#addNamed(this.wanted.rules, ruleFileSchema, written, document);
        return;
      case 'roles': {
        const roles = this.#parse(rolesFileSchema, written, document);
        const named = isObject(document) && isObject(document['members'] ?? null) ? Object.keys(document['members'] as JsonObject) : [];
        if (roles !== null && named.length > Object.keys(roles.members).length)
          this.#refuseAt(written, [keyFault('/members', 'two logins are the same but for upper and lower case')]);
        for (const [login, held] of Object.entries(roles?.members ?? {}))
          this.#add(this.wanted.roles, 'login', login, { ...written, pointer: `/members/${escapePointer(login)}`, roles: held });
      }
    }
  }

  #addNamed<Document extends { kind: string; name: string }>(
    known: Map<string, Written & { document: Document }>,
    schema: z.ZodType<Document>,
    written: Written,
    document: Json,
  ): void {
    const parsed = this.#parse(schema, written, document);
    if (parsed !== null) this.#add(known, parsed.kind, parsed.name, { ...written, pointer: '/name', document: parsed });
  }

  #parse<Schema extends z.ZodType>(schema: Schema, written: Written, document: Json): z.infer<Schema> | null {
    const parsed = schema.safeParse(document);
    if (parsed.success) return parsed.data;
    this.#refuseAt(
      written,
      faultsOf(parsed.error, schema, '').map((fault) => withoutSecret(fault, document)),
    );
    return null;
  }

  #add<Entry extends Written>(known: Map<string, Entry>, what: string, name: string, entry: Entry): void {
    const before = known.get(name);
    if (before === undefined) known.set(name, entry);
    else this.#refuseAt(entry, [valueFault(entry.pointer, `the ${what} "${name}" stands in ${before.path} already`)]);
  }

  #refuse(path: string, faults: readonly FaultDetail[]): void {
    this.faults.push(...faults.map((fault) => ({ path, fault })));
  }

  #refuseAt({ path, locate }: Written, faults: readonly DocumentFault[]): void {
    this.#refuse(
      path,
      faults.map(({ part, ...fault }) => ({ ...fault, ...locate(fault.pointer, part) })),
    );
  }
}

const isObject = (document: Json): document is JsonObject => typeof document === 'object' && document !== null && !Array.isArray(document);

const isPlan = (document: Json): document is JsonObject => isObject(document) && document['kind'] === undefined && document['plan'] !== undefined;

function kindOf(document: Json): Exclude<FileKind, 'plan'> | DocumentFault {
  const known = `one of ${namedKinds.join(', ')}; a plan has no kind and begins with "plan: NAME"`;
  const kind = isObject(document) ? document['kind'] : undefined;
  if (typeof kind !== 'string') return valueFault('/kind', 'the file does not say what it is', `give it a kind, ${known}`);
  const found = namedKinds.find((name) => name === kind);
  if (found !== undefined) return found;
  return valueFault('/kind', `there is no kind "${kind}"`, kind === 'plan' ? 'leave it out: a plan has no kind' : (didYouMean(kind, namedKinds) ?? known));
}

/** Whoever writes one down should hear why not, rather than that the key is unknown. */
function withoutSecret(fault: DocumentFault, document: Json): DocumentFault {
  if (fault.pointer === '/secret')
    return {
      ...fault,
      message: 'no secret stands in a file',
      suggestion: 'take it out; what is there keeps its secret, and a new one is given one: kai apply --help',
    };
  if (fault.pointer === '/url' && isObject(document) && document['kind'] === 'channel')
    return {
      ...fault,
      message: 'the address of a channel is a secret, and no secret stands in a file',
      suggestion: 'take it out; a channel that is there keeps its address, and a new one is given beside the files: kai apply --secrets FILE',
    };
  return fault;
}
