import type { Request, RequestHandler, Response } from 'express';
import type { Logger } from 'pino';
import { KosError } from '#core/errors.ts';
import type { Principal } from '#core/policy/principal.ts';
import { can } from '#core/policy/can.ts';
import { inPlainWords } from '#core/schema-words.ts';
import { findAdministrators } from '#services/credentials/administrators.ts';
import type { SignedIn } from '#services/credentials/authenticate.ts';
import type { Presence } from '#services/credentials/presence.ts';
import type { Database, SystemDatabase } from '#services/database/connect.ts';
import {
  AlreadyTookEffect,
  digestBody,
  findIdempotent,
  type IdempotencyScope,
  type IdempotentEffect,
  parseIdempotencyKey,
  recordIdempotent,
} from '#services/idempotency/idempotency.ts';
import { readBody } from './body.ts';
import { assertNotFromElsewhere, assertUrlLength, authenticate, authorise, type Door } from './guard.ts';
import { invalid, toProblem } from './problem.ts';
import { resourceMetadataUrl } from './resource-metadata.ts';
import type { RateGuard } from './rate-guard.ts';
import type { Call, Reply, Route } from './route.ts';
import { upgradeOf } from './sockets.ts';
import { newTraceId, traceOf } from './trace.ts';

export interface PipelineDependencies extends Door {
  database: Database;
  system: SystemDatabase;
  presence: Presence;
  rates: RateGuard;
  checkHost: (host: string | undefined) => void;
  log: Logger;
}

/** Before any route is looked for: caps and the host that was asked for, so that even "not found" is told to those alone who may ask. */
export function makeEntrance(dependencies: PipelineDependencies): RequestHandler {
  return (request, response, next) => {
    const trace = traceOf({ traceparent: request.get('traceparent'), requestId: request.get('x-request-id') });
    response.locals['traceId'] = trace.traceId;
    response.locals['requestId'] = trace.requestId;
    response.set({ traceparent: trace.traceparent, 'X-Request-Id': trace.requestId });
    assertUrlLength(request.originalUrl);
    dependencies.checkHost(request.headers.host);
    response.locals['resourceMetadata'] = resourceMetadataUrl(dependencies.publicUrl, request.path);
    next();
  };
}

/** The whole way of a request to its route, in the order of checks that every route shares. */
export function serveRoute(route: Route, dependencies: PipelineDependencies): RequestHandler {
  return async (request, response) => {
    const principal = await admit(route, request, response, dependencies);
    const body = await readBody(request, route);
    const scope = route.replay === undefined || principal === null ? null : idempotencyScope(request, principal, body);
    const call = makeCall(request, response, { principal, scope, rates: dependencies.rates });
    const unwatch = endWithRights(route, principal, call, dependencies);
    try {
      const before = scope === null ? null : await findIdempotent(dependencies.database, scope);
      const reply = before === null ? await act(route, validate(route, call, request, body)) : await replay(route, before, call);
      await sendCounted(route, principal, reply, response, dependencies);
    } catch (error) {
      if (error instanceof KosError && error.code === 'delivery_refused') await dependencies.rates.countFailure(request);
      throw error;
    } finally {
      unwatch();
    }
  };
}

async function admit(route: Route, request: Request, response: Response, dependencies: PipelineDependencies): Promise<Principal | null> {
  if ('public' in route.access) {
    assertNotFromElsewhere(request, dependencies.publicUrl);
    if (route.rate === 'hook') dependencies.rates.assertNotGuessing(request);
    else await dependencies.rates.admitAddress(request, response, route.rate);
    return null;
  }
  const { permission } = route.access;
  const { principal, newToken } = await signIn(request, dependencies, route);
  await dependencies.rates.admitPrincipal(principal, response, route.rate);
  if (newToken !== null) response.append('Set-Cookie', dependencies.cookie.set(newToken));
  await authorise(principal, permission, () => findAdministrators(dependencies.system, principal.workspaceId, permission));
  return principal;
}

/** Refused credentials are counted by address, so that guessing has an end. */
async function signIn(request: Request, dependencies: PipelineDependencies, route: Route): Promise<SignedIn> {
  dependencies.rates.assertNotGuessing(request);
  try {
    return await authenticate(request, dependencies, route);
  } catch (error) {
    if (error instanceof KosError && error.code === 'credential_refused') await dependencies.rates.countFailure(request);
    throw error;
  }
}

/** A stream or a long wait ends soon after its reader's right to it: its signal is aborted. */
function endWithRights(route: Route, principal: Principal | null, call: OpenCall, { presence }: PipelineDependencies): () => void {
  if (principal === null || 'public' in route.access) return () => undefined;
  const { permission } = route.access;
  const isStillAllowed = (now: Principal): boolean => {
    call.see(now);
    return can(now, permission);
  };
  return presence.watch(principal, isStillAllowed, call.end);
}

function idempotencyScope(request: Request, principal: Principal, body: unknown): IdempotencyScope {
  return {
    workspaceId: principal.workspaceId,
    principalId: principal.principalId,
    route: `${request.method} ${request.path}`,
    key: parseIdempotencyKey(request.get('idempotency-key')),
    bodyDigest: digestBody(body),
  };
}

/** Made once: an abort without a reason makes an exception with its stack, for every request. */
const over = new Error('This call is over.');

/** A call whose signal can be aborted from here, and whose caller is looked at again. */
type OpenCall = Call<unknown, unknown, unknown> & { end: () => void; see: (principal: Principal) => void };

function makeCall(
  request: Request,
  response: Response,
  { principal, scope, rates }: { principal: Principal | null; scope: IdempotencyScope | null; rates: RateGuard },
): OpenCall {
  const gone = new AbortController();
  response.once('close', () => gone.abort(over));
  let present = principal;
  return {
    principal,
    present: () => present,
    see: (now) => {
      present = now;
    },
    params: undefined,
    query: undefined,
    body: undefined,
    header: (name) => request.get(name),
    headers: () => Object.fromEntries(Object.entries(request.headers).flatMap(([name, value]) => (value === undefined ? [] : [[name, String(value)]]))),
    signal: gone.signal,
    end: () => gone.abort(over),
    traceId: response.locals['traceId'] as string,
    admitDelivery: (triggerId) => rates.admitDelivery(triggerId, response),
    admitChange: async () => {
      if (principal !== null) await rates.admitPrincipal(principal, response, 'change');
    },
    recordEffect: async (transaction, effect) => {
      if (scope === null) throw new Error(`${request.method} ${request.path} is not idempotent and cannot record a key.`);
      await recordIdempotent(transaction, scope, effect);
    },
  };
}

const inWords = { error: inPlainWords };

/** Nothing can be at an address whose ids are malformed, so that is 404; query and body are 400. */
function validate(route: Route, call: Call<unknown, unknown, unknown>, request: Request, body: unknown): Call<unknown, unknown, unknown> {
  const params = route.params?.safeParse(request.params, inWords);
  if (params?.success === false) {
    const [issue] = params.error.issues;
    throw new KosError({
      code: 'not_found',
      message: `There is nothing at ${request.path}: ${String(issue?.path[0] ?? 'it')} ${issue?.message ?? 'is malformed'}.`,
      status: 404,
    });
  }
  const query = route.query?.safeParse(withoutWorkspace(request, route), inWords);
  if (query?.success === false) throw invalid(query.error, 'query');
  const parsedBody = route.body?.safeParse(body ?? {}, inWords);
  if (parsedBody?.success === false) throw invalid(parsedBody.error, 'body');
  return { ...call, params: params?.data, query: query?.data, body: parsedBody?.data };
}

/** The workspace in a stream's address was the guard's; no route knows it. */
function withoutWorkspace(request: Request, route: Route): object {
  if (route.method !== 'get' || 'public' in route.access) return request.query;
  const { workspace: _workspace, ...rest } = request.query;
  return rest;
}

async function act(route: Route, call: Call<unknown, unknown, unknown>): Promise<Reply> {
  try {
    return await route.handler(call);
  } catch (error) {
    // Another request with the same key took effect while this one was on its way.
    if (error instanceof AlreadyTookEffect) return replay(route, error.effect, call);
    throw error;
  }
}

async function replay(route: Route, effect: IdempotentEffect, call: Call<unknown, unknown, unknown>): Promise<Reply> {
  if (route.replay === undefined) throw new Error(`${route.path} cannot be replayed.`);
  const reply = await route.replay(effect.reference, call);
  return reply.kind === 'stream' || reply.kind === 'socket' || reply.kind === 'redirect'
    ? reply
    : { ...reply, headers: { ...reply.headers, 'Idempotency-Replayed': 'true' } };
}

async function sendCounted(route: Route, principal: Principal | null, reply: Reply, response: Response, { rates, log }: PipelineDependencies): Promise<void> {
  if (route.rate !== 'stream' || (reply.kind !== 'stream' && reply.kind !== 'socket') || principal === null) return send(response, reply, log);
  const close = rates.openStream(principal);
  try {
    await send(response, reply, log);
  } finally {
    close();
  }
}

async function send(response: Response, reply: Reply, log: Logger): Promise<void> {
  switch (reply.kind) {
    case 'json':
      response
        .status(reply.status)
        .set(reply.headers ?? {})
        .json(reply.body);
      return;
    case 'empty':
      response
        .status(reply.status)
        .set(reply.headers ?? {})
        .end();
      return;
    case 'redirect':
      response.status(reply.status).set(reply.headers).end();
      return;
    case 'stream':
      await reply.send(response);
      return;
    case 'socket':
      await serveSocket(response, reply, log);
  }
}

async function serveSocket(response: Response, reply: Reply & { kind: 'socket' }, log: Logger): Promise<void> {
  const upgrade = upgradeOf(response.req);
  if (upgrade === undefined) {
    response.set('Upgrade', 'websocket');
    throw new KosError({
      code: 'upgrade_required',
      message: 'There is a WebSocket here, and this request does not ask for one.',
      fix: 'Connect with a WebSocket client, or read GET /v1/events as server-sent events.',
      status: 426,
    });
  }
  const socket = await upgrade();
  if (socket === null) return;
  try {
    await reply.serve(socket);
  } catch (error) {
    log.warn({ error }, 'a socket broke off');
    socket.close(1011, 'Something failed inside kOS: come back with your position.');
  }
}

/** RFC 9728 §5.1: it leads a client that has no credential to where it reads how to get one. */
function challenge(response: Response): string {
  const metadata = response.locals['resourceMetadata'] as string | undefined;
  return `Bearer realm="kOS"${metadata === undefined ? '' : `, resource_metadata="${metadata}"`}`;
}

/** Answers what was thrown anywhere above. Where the answer has begun, only breaking it off tells the client. */
export function answerProblem(response: Response, error: unknown, log: Logger): void {
  if (response.headersSent) {
    log.warn({ error }, 'an answer broke off');
    response.destroy();
    return;
  }
  const problem = toProblem(error, (response.locals['traceId'] as string | undefined) ?? newTraceId(), log);
  if (problem.status === 401) response.set('WWW-Authenticate', challenge(response));
  const { retryAfterSeconds } = problem;
  if (problem.retryable && [429, 503, 409].includes(problem.status))
    response.set('Retry-After', typeof retryAfterSeconds === 'number' ? String(retryAfterSeconds) : '1');
  response.status(problem.status).type('application/problem+json').send(JSON.stringify(problem));
}
