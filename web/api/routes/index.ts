import { z } from 'zod';
import type { ApiDependencies } from '../dependencies.ts';
import { describeApi } from '../openapi.ts';
import { defineRoute, json, type Reply, type Route } from '../route.ts';
import { againRoutes } from './again.ts';
import { approvalRoutes } from './approvals.ts';
import { approvalRuleRoutes } from './approval-rules.ts';
import { artifactRoutes } from './artifacts.ts';
import { authRoutes } from './auth.ts';
import { cacheRoutes } from './cache.ts';
import { channelRoutes } from './channels.ts';
import { codecRoutes } from './codec.ts';
import { eventRoutes } from './events.ts';
import { healthRoutes } from './health.ts';
import { jobRoutes } from './jobs.ts';
import { mcpRoutes } from './mcp.ts';
import { meRoutes } from './me.ts';
import { keyRoutes, memberRoutes, peopleRoutes, workspacesRoutes } from './members.ts';
import { oauthRoutes } from './oauth.ts';
import { oidcRoutes } from './oidc.ts';
import { docsRoutes, signInPageRoutes } from './pages.ts';
import { planSchemaRoutes } from './plan-schema.ts';
import { planRoutes } from './plans.ts';
import { resourceMetadataRoutes } from './resource-metadata.ts';
import { runActionRoutes } from './run-actions.ts';
import { rerunRoutes } from './reruns.ts';
import { runRecordRoutes } from './run-record.ts';
import { runStepRoutes } from './run-steps.ts';
import { runRoutes } from './runs.ts';
import { scheduleRoutes } from './schedules.ts';
import { secretRoutes } from './secrets.ts';
import { signalRoutes } from './signals.ts';
import { settingsRoutes } from './settings.ts';
import { startsRoutes } from './starts.ts';
import { triggerRoutes } from './triggers.ts';
import { webhookRoutes } from './webhooks.ts';
import { workspaceRoutes } from './workspace.ts';

/** Every route of the API: the one table from which requests are served, checked and described. */
export function makeRoutes(dependencies: ApiDependencies): Route[] {
  const routes: Route[] = [
    ...healthRoutes(dependencies),
    ...workspaceRoutes(dependencies),
    ...planRoutes(dependencies),
    ...planSchemaRoutes(),
    ...runRoutes(dependencies),
    ...runActionRoutes(dependencies),
    ...startsRoutes(dependencies),
    ...rerunRoutes(dependencies),
    ...againRoutes(dependencies),
    ...runStepRoutes(dependencies),
    ...jobRoutes(dependencies),
    ...runRecordRoutes(dependencies),
    ...eventRoutes(dependencies),
    ...codecRoutes(dependencies),
    ...signalRoutes(dependencies),
    ...approvalRoutes(dependencies),
    ...approvalRuleRoutes(dependencies),
    ...artifactRoutes(dependencies),
    ...cacheRoutes(dependencies),
    ...scheduleRoutes(dependencies),
    ...triggerRoutes(dependencies),
    ...webhookRoutes(dependencies),
    ...channelRoutes(dependencies),
    ...secretRoutes(dependencies),
    ...settingsRoutes(dependencies),
    ...meRoutes(dependencies),
    ...keyRoutes(dependencies),
    ...memberRoutes(dependencies),
    ...workspacesRoutes(dependencies),
    ...peopleRoutes(dependencies),
    ...authRoutes(dependencies),
    ...oauthRoutes(dependencies),
    ...oidcRoutes(dependencies),
    ...resourceMetadataRoutes(dependencies),
    ...mcpRoutes(dependencies),
    ...signInPageRoutes(dependencies),
    ...docsRoutes(() => [...routes, description], dependencies),
  ];
  const description: Route = defineRoute({
    method: 'get',
    path: '/v1/openapi.json',
    summary: 'This API, described (OpenAPI 3.1)',
    access: { permission: 'self:read' },
    responses: { 200: z.looseObject({ openapi: z.string() }) },
    handler: async (): Promise<Reply> => json(describeApi([...routes, description], dependencies)),
  });
  return [...routes, description];
}
