import { z } from 'zod';

/** `*.example.com:443` for subdomains. Underscores are no part of host names by RFC 1123, and of many names inside networks all the same. */
const hostPort = z
  .string()
  .toLowerCase()
  .regex(/^(\*\.)?([a-z0-9_-]+\.)*[a-z0-9_-]+:[0-9]{1,5}$|^\[[0-9a-f:.]+\]:[0-9]{1,5}$/, 'must be host:port, e.g. api.example.com:443');

/** What a workspace's admins set. Missing keys take the default. */
export const workspaceSettingsSchema = z.strictObject({
  /** Folders that tools may reach beyond the built-in ones; absolute paths. */
  roots: z
    .array(z.strictObject({ path: z.string().startsWith('/').max(4096), write: z.boolean() }))
    .max(100)
    .default([]),
  /** host:port pairs that tools may connect to. */
  egress: z.array(hostPort).max(500).default([]),
  /**
   * Runs of the workspace that are at work at once at most, not counting those that wait or that a step started; null: as many as come where Temporal
   * shares out fairly between workspaces, 100 where it does not.
   */
  runsAtOnce: z.int().min(1).max(100_000).nullable().default(null),
  retention: z.strictObject({ runsDays: z.int().min(1).max(3650), eventsDays: z.int().min(1).max(3650) }).default({ runsDays: 90, eventsDays: 30 }),
});
export type WorkspaceSettings = z.infer<typeof workspaceSettingsSchema>;

/** Each setting that is named is replaced as a whole. No defaults here: what is not named stays. */
export const changeSettingsSchema = z.strictObject({
  roots: workspaceSettingsSchema.shape.roots.unwrap().optional(),
  egress: workspaceSettingsSchema.shape.egress.unwrap().optional(),
  runsAtOnce: workspaceSettingsSchema.shape.runsAtOnce.unwrap().optional(),
  retention: workspaceSettingsSchema.shape.retention.unwrap().optional(),
});
