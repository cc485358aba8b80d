import { z } from 'zod';
import { KosError } from '#core/errors.ts';
import type { Principal } from '#core/policy/principal.ts';
import { changeSettingsSchema, type WorkspaceSettings, workspaceSettingsSchema } from '#schemas/settings.ts';
import { builtInRoots, changeSettings, readVersionedSettings, type VersionedSettings } from '#services/settings/settings.ts';
import { refuseUnusable } from '#services/settings/unusable.ts';
import { type ApiDependencies, inWorkspaceOf } from '../dependencies.ts';
import { defineRoute, json, type Reply, type Route } from '../route.ts';

const rootSchema = z.object({ path: z.string(), write: z.boolean() });

const shownSettingsSchema = z.object({
  ...workspaceSettingsSchema.shape,
  /** Folders that tools may reach whatever the settings say. */
  builtInRoots: z.array(rootSchema),
  /** Of the settings; 0: nobody has changed the defaults. */
  version: z.int(),
});

export const settingsRoutes = (dependencies: ApiDependencies): Route[] => {
  const show = ({ settings, version }: VersionedSettings): Reply =>
    json({ ...settings, builtInRoots: builtInRoots(dependencies.places), version }, 200, { ETag: etagOf(version) });

  const change = async (principal: Principal, ifMatch: string | undefined, wanted: Partial<WorkspaceSettings>): Promise<Reply> =>
    show(
      await inWorkspaceOf(dependencies, principal, async (transaction) => {
        const version = versionOf(ifMatch);
        const before = await readVersionedSettings(transaction, principal.workspaceId);
        // On another state than was read, its change is answered first.
        if (before.version === version) await refuseUnusable(before.settings, wanted, dependencies.closed());
        return await changeSettings(transaction, { workspaceId: principal.workspaceId, actor: principal.principalId, version, change: wanted });
      }),
    );

  return [
    defineRoute({
      method: 'get',
      path: '/v1/settings',
      summary: 'The settings of this workspace, defaults included',
      access: { permission: 'settings:read' },
      responses: { 200: shownSettingsSchema },
      handler: async ({ principal }) =>
        show(await inWorkspaceOf(dependencies, principal, (transaction) => readVersionedSettings(transaction, principal.workspaceId))),
    }),
    defineRoute({
      method: 'patch',
      path: '/v1/settings',
      summary: 'Replace the settings that are named; needs `If-Match` with the ETag of what was read',
      access: { permission: 'settings:write' },
      body: changeSettingsSchema,
      examples: { body: { egress: ['api.example.com:443'], retention: { runsDays: 90, eventsDays: 30 } } },
      responses: { 200: shownSettingsSchema },
      handler: ({ principal, body, header }) => {
        const named = Object.fromEntries(Object.entries(body).filter(([, value]) => value !== undefined)) as Partial<WorkspaceSettings>;
        return change(principal, header('if-match'), named);
      },
    }),
  ];
};

const etagOf = (version: number): string => `"settings-${version}"`;

/** Throws KosError `precondition_missing` (428) or `settings_changed` (412). */
function versionOf(ifMatch: string | undefined): number {
  if (ifMatch === undefined) {
    throw new KosError({
      code: 'precondition_missing',
      message: 'A change of settings needs If-Match with the ETag of the settings it was made on.',
      fix: 'GET /v1/settings, then repeat the change with its ETag.',
      status: 428,
    });
  }
  const version = /^(?:W\/)?"settings-([0-9]{1,9})"$/.exec(ifMatch.trim())?.[1];
  // An ETag that this server never gave matches no version.
  return version === undefined ? -1 : Number(version);
}
