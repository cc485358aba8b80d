import type { Response } from 'express';
import type { WebSocket } from 'ws';
import type { z } from 'zod';
import type { Permission } from '#core/policy/permissions.ts';
import type { Principal } from '#core/policy/principal.ts';
import type { RateClass } from '#core/policy/rates.ts';
import type { Json } from '#schemas/json.ts';
import type { Transaction } from '#services/database/connect.ts';

export type Method = 'get' | 'post' | 'put' | 'patch' | 'delete';

/** Who may call a route: whoever holds the permission, or anybody, which the public list must then confirm. */
export type Access = { permission: Permission } | { public: true };

type ReplyHeaders = Record<string, string | string[]>;

/** What a handler answers. `stream` writes the response itself. */
export type Reply =
  | { kind: 'json'; status: number; body: unknown; headers?: ReplyHeaders }
  | { kind: 'empty'; status: 204; headers?: ReplyHeaders }
  | { kind: 'redirect'; status: 303; headers: ReplyHeaders & { Location: string } }
  | { kind: 'stream'; send: (response: Response) => Promise<void> }
  /** Goes on as a WebSocket, until `serve` is done with it. */
  | { kind: 'socket'; serve: (socket: WebSocket) => Promise<void> };

export const json = (body: unknown, status = 200, headers: ReplyHeaders = {}): Reply => ({ kind: 'json', status, body, headers });
export const empty = (headers: ReplyHeaders = {}): Reply => ({ kind: 'empty', status: 204, headers });

/** JSON and YAML bodies are documents; `form` is what OAuth clients send (RFC 6749 appendix B); `raw` is whatever came, byte by byte. */
export type BodyFormat = 'json' | 'yaml' | 'form' | 'raw';

/** Content that no schema describes. */
export interface MediaAnswer {
  mediaType: string;
  /** It may be of any other type, too: whoever made the content says which. */
  orAny?: true;
}

export interface Call<Params, Query, Body> {
  /** Null on public routes only. */
  principal: Principal | null;
  params: Params;
  query: Query;
  body: Body;
  /** A request header's value, or undefined. */
  header(name: string): string | undefined;
  /** Every header, names in lower case. */
  headers(): Record<string, string>;
  /** Aborted when the client goes away. */
  signal: AbortSignal;
  /** The caller as they were last looked at: of what stays open, every other second. */
  present(): Principal | null;
  traceId: string;
  /** On routes that senders of deliveries call: counts against the trigger's rate. */
  admitDelivery(triggerId: string): Promise<void>;
  /** On routes that are reads for some callers and changes for others: counts this call as a change, too. Throws KosError `rate_limited`. */
  admitChange(): Promise<void>;
  /** On idempotent routes: writes the key in the transaction of the effect. `reference` is what the answer can be built from again. */
  recordEffect(transaction: Transaction, effect: { status: number; reference: Json }): Promise<void>;
}

type Parsed<Schema> = Schema extends z.ZodType ? z.output<Schema> : undefined;
type SignedCall<Params, Query, Body, A extends Access> = Omit<Call<Params, Query, Body>, 'principal' | 'present'> & {
  principal: A extends { public: true } ? null : Principal;
  present(): A extends { public: true } ? null : Principal;
};

export interface RouteDefinition<
  A extends Access,
  Params extends z.ZodType | undefined,
  Query extends z.ZodType | undefined,
  Body extends z.ZodType | undefined,
> {
  method: Method;
  /** As OpenAPI writes it: `/v1/runs/{id}`. */
  path: string;
  summary: string;
  access: A;
  /** Paths of earlier kOS documents under which it answers, too. */
  aliases?: readonly string[];
  /** `optional`: it is about the person, so a session need not say which workspace it means; needed when absent. */
  workspace?: 'needed' | 'optional';
  /** Origins of other sites whose pages may call it, cookie included; absent: none. */
  crossOrigin?: readonly string[];
  /** How it counts against the rate limits; absent: reads as `read`, changes as `change`, public routes as `public`. */
  rate?: RateClass;
  params?: Params;
  query?: Query;
  body?: Body;
  /** Formats of the body, JSON when absent. A YAML body arrives as `{ source, format: 'yaml' }`, a form as an object of strings. */
  bodyFormats?: readonly BodyFormat[];
  /** Cap of the body in bytes; 1 MB when absent. */
  bodyBytes?: number;
  /** What it answers, by status; null: no body. */
  responses: Record<number, z.ZodType | null | MediaAnswer>;
  /** What a request and its answers look like; held against the schemas by a test. */
  examples?: Examples;
  handler(call: SignedCall<Parsed<Params>, Parsed<Query>, Parsed<Body>, A>): Promise<Reply>;
  /** The route needs `Idempotency-Key`; this builds the answer of a repeat from what the first request made, as it is today. */
  replay?(reference: Json, call: SignedCall<unknown, unknown, unknown, A>): Promise<Reply>;
}

export interface Examples {
  body?: Json;
  /** By status. */
  answers?: Record<number, Json>;
}

/** A route whose types are checked where it is defined and forgotten where it is served. */
export interface Route {
  method: Method;
  path: string;
  summary: string;
  access: Access;
  params?: z.ZodType;
  query?: z.ZodType;
  body?: z.ZodType;
  bodyFormats: readonly BodyFormat[];
  bodyBytes: number;
  aliases: readonly string[];
  workspace: 'needed' | 'optional';
  crossOrigin: readonly string[];
  rate: RateClass;
  responses: Record<number, z.ZodType | null | MediaAnswer>;
  examples: Examples;
  handler(call: Call<unknown, unknown, unknown>): Promise<Reply>;
  replay?(reference: Json, call: Call<unknown, unknown, unknown>): Promise<Reply>;
}

const defaultBodyBytes = 1_000_000;

export function defineRoute<
  const A extends Access,
  Params extends z.ZodType | undefined = undefined,
  Query extends z.ZodType | undefined = undefined,
  Body extends z.ZodType | undefined = undefined,
>(definition: RouteDefinition<A, Params, Query, Body>): Route {
  const rate = 'public' in definition.access ? 'public' : definition.method === 'get' ? 'read' : 'change';
  return {
    bodyFormats: ['json'],
    bodyBytes: defaultBodyBytes,
    aliases: [],
    workspace: 'needed',
    crossOrigin: [],
    rate,
    examples: {},
    ...definition,
  } as unknown as Route;
}

/** The only routes that answer without a credential. */
export const publicRoutes: readonly string[] = [
  'GET /healthz',
  'GET /readyz',
  'GET /.well-known/kos/plan.schema.json',
  'GET /.well-known/jwks.json',
  'GET /.well-known/oauth-authorization-server',
  'GET /.well-known/oauth-protected-resource',
  'GET /.well-known/oauth-protected-resource/mcp',
  'GET /sign-in',
  'GET /sign-in/page.js',
  'GET /sign-in/page.css',
  'POST /v1/auth/login',
  'POST /v1/auth/links',
  'POST /v1/auth/invitations',
  'POST /v1/auth/resets',
  'POST /v1/auth/refresh',
  'POST /v1/auth/oidc/start',
  'GET /v1/auth/oidc/callback',
  'POST /v1/oauth/token',
  'POST /hooks/{id}',
];

/** Throws, and so stops the start, when a route has no permission and is not on the public list, or is there twice. */
export function assertRoutesGuarded(routes: readonly Route[]): void {
  const seen = new Set<string>();
  for (const { method, path, access } of routes) {
    const name = `${method.toUpperCase()} ${path}`;
    if (seen.has(name)) throw new Error(`The route ${name} is defined twice.`);
    seen.add(name);
    const isListed = publicRoutes.includes(name);
    const isPublic = 'public' in access;
    if (isPublic !== isListed || (!isPublic && access.permission === undefined)) {
      throw new Error(`The route ${name} must either name a permission or be on the public list.`);
    }
  }
}
