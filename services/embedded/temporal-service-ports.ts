/** Its first line, and what the rest looks like: indented, or a name that begins a part. */
const firstLine = 'global:';
const furtherLine = /^(\s|[a-zA-Z]+:( null| \{\}| \[\])?$)/;

export interface ServicePorts {
  /** Takes what the server writes; passes on what is not its configuration. */
  onLine: (line: string) => void;
  /** Empty until the configuration was read. */
  ports: () => number[];
}

/**
 * The development server takes a port for each of its inner services (history, matching, …), another at every start, which no argument can
 * set. With `--log-config` it writes its configuration as YAML before it starts them: the ports are read from there, so that plans can be kept
 * from them, and the YAML is kept out of the log.
 */
export function listenForServicePorts(passOn: (line: string) => void): ServicePorts {
  const ports = new Set<number>();
  let inside = false;
  return {
    ports: () => [...ports],
    onLine: (line) => {
      inside = line === firstLine || (inside && furtherLine.test(line));
      if (!inside) return passOn(line);
      const port = Number(/^\s+(?:grpc|membership|http)Port: (\d+)$/.exec(line)?.[1] ?? 0);
      if (port > 0) ports.add(port);
    },
  };
}
