import { createServer, type Server, STATUS_CODES } from 'node:http';
import cors from 'cors';
import express, { type Express, type NextFunction, type Request, type Response } from 'express';
import helmet from 'helmet';
import { KosError } from '#core/errors.ts';
import { compressAnswers } from './compress.ts';
import { answerProblem, makeEntrance, type PipelineDependencies, serveRoute } from './pipeline.ts';
import { assertRoutesGuarded, type Route } from './route.ts';
import { asksForSocket } from './sockets.ts';

/** Largest size of all headers of a request together, in bytes. */
const headerBytes = 16_384;
/** A request must have arrived whole by then; answers may take as long as they take. */
const requestTimeoutMs = 60_000;

export interface AppDependencies extends PipelineDependencies {
  /** Proxies whose `X-Forwarded-For` is believed, as addresses or subnets; of nobody else's. */
  trustedProxies: readonly string[];
}

export function makeApp(routes: readonly Route[], dependencies: AppDependencies): Express {
  assertRoutesGuarded(routes);
  const app = express();
  app.disable('x-powered-by').disable('etag').set('query parser', 'simple').set('case sensitive routing', true);
  app.set('trust proxy', dependencies.trustedProxies.length === 0 ? false : [...dependencies.trustedProxies]);
  app.use(logRequests(dependencies));
  app.use(helmet({ contentSecurityPolicy: { useDefaults: false, directives: { 'default-src': ["'none'"], 'frame-ancestors': ["'none'"] } } }));
  app.use((_request, response, next) => {
    response.set('Cache-Control', 'no-store');
    next();
  });
  app.use(makeEntrance(dependencies));
  app.use(compressAnswers());
  for (const route of routes) {
    const serve = serveRoute(route, dependencies);
    if (route.crossOrigin.length > 0) app.use(expressPath(route.path), allowOrigins(route));
    for (const path of [route.path, ...route.aliases]) app[route.method](expressPath(path), serve);
  }
  refuseOtherMethods(app, routes);
  app.use((request) => {
    throw new KosError({ code: 'not_found', message: `There is nothing at ${request.path}.`, fix: 'GET /v1/openapi.json lists the routes.', status: 404 });
  });
  app.use((error: unknown, _request: Request, response: Response, _next: NextFunction) => answerProblem(response, error, dependencies.log));
  return app;
}

export function makeServer(app: Express): Server {
  const server = createServer(
    { maxHeaderSize: headerBytes, requestTimeout: requestTimeoutMs, keepAliveTimeout: 30_000, shouldUpgradeCallback: (request) => asksForSocket(request) },
    app,
  );
  // What cannot even be parsed never reaches the app.
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    if (!socket.writable || error.code === 'ECONNRESET') return;
    const status = error.code === 'HPE_HEADER_OVERFLOW' ? 431 : error.code === 'ERR_HTTP_REQUEST_TIMEOUT' ? 408 : 400;
    socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
  });
  return server;
}

/** Headers that Temporal's UI sends, and those that choose a workspace. */
const crossOriginHeaders = ['authorization', 'content-type', 'x-namespace', 'kos-workspace'];

/** CORS is off but for routes that name whose pages may call them. */
const allowOrigins = ({ crossOrigin, method }: Route) =>
  cors({ origin: [...crossOrigin], methods: [method.toUpperCase()], allowedHeaders: crossOriginHeaders, credentials: true, maxAge: 600 });

/** `/v1/runs/{id}` as Express spells it. */
const expressPath = (path: string): string => path.replaceAll(/\{([a-zA-Z]+)\}/g, ':$1');

function refuseOtherMethods(app: Express, routes: readonly Route[]): void {
  const pathsOf = (route: Route): string[] => [route.path, ...route.aliases];
  for (const path of new Set(routes.flatMap(pathsOf))) {
    const methods = routes.filter((route) => pathsOf(route).includes(path)).map((route) => route.method.toUpperCase());
    app.all(expressPath(path), (request, response) => {
      response.set('Allow', methods.join(', '));
      throw new KosError({
        code: 'method_not_allowed',
        message: `${request.method} is not known at ${request.path}.`,
        fix: `It knows ${methods.join(', ')}.`,
        status: 405,
      });
    });
  }
}

/** One line for each request that changes something or fails; reads, and who asks whether all is ready, at debug. Never a header, a body or a query. */
function logRequests({ log }: PipelineDependencies) {
  return (request: Request, response: Response, next: NextFunction): void => {
    const startedAt = performance.now();
    response.once('close', () => {
      const isQuiet = request.path === '/readyz' || (request.method === 'GET' && response.statusCode < 400);
      const line = {
        method: request.method,
        path: request.path,
        status: response.statusCode,
        ms: Math.round(performance.now() - startedAt),
        traceId: response.locals['traceId'],
        requestId: response.locals['requestId'],
      };
      if (isQuiet) log.debug(line, 'request');
      else log[response.statusCode >= 500 ? 'error' : 'info'](line, 'request');
    });
    next();
  };
}
