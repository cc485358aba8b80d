/** Paths under which this server is a resource of its own to OAuth clients, besides the whole of it. */
const resourcePaths: readonly string[] = ['/mcp'];

/** Where the metadata of the resource at that path stand (RFC 9728 §3.1: the well-known part goes between host and path). */
export const resourceMetadataPath = (path: string): string => `/.well-known/oauth-protected-resource${resourcePaths.includes(path) ? path : ''}`;

export const resourceMetadataUrl = (publicUrl: string, path: string): string => `${new URL(publicUrl).origin}${resourceMetadataPath(path)}`;
