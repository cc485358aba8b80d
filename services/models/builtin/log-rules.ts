/** What a kind of log message commonly means, found by its words. General knowledge of operations: no rule knows the system that wrote the line. */
export interface LogRule {
  name: string;
  pattern: RegExp;
  /** Goes on after `such lines commonly mean that`. */
  means: string;
  /** A sentence. */
  advice: string;
}

/** An HTTP status counts only where the line calls it one: a bare number may be anything. */
const orStatus = (words: RegExp, code: string): RegExp =>
  new RegExp(`${words.source}|(?:status(?:[ _-]?code)?["\\s:=]{1,4}|http/[\\d.]+"?\\s+|" )${code}\\b`, 'i');

/** The first rules are the more telling ones; a message is explained by at most two. */
export const logRules: readonly LogRule[] = [
  {
    name: 'out of memory',
    pattern: /out of memory|\boom\b|oom[-_ ]?kill|heap (?:limit|out)|cannot allocate memory|enomem|outofmemory/i,
    means: 'a process wanted more memory than it may have, and was or will be ended by the system',
    advice: 'Check the memory limit, and what grew before the first of these lines.',
  },
  {
    name: 'disk full',
    pattern: /no space left|enospc|disk (?:is )?full|disk quota|edquot|low disk/i,
    means: 'a disk or quota is full, so writes fail',
    advice: 'Check free space and inodes (df -h, df -i), and which folder grows.',
  },
  {
    name: 'too many open files',
    pattern: /too many open files|emfile|enfile/i,
    means: 'the process is at its limit of open files or sockets, often a leak of connections',
    advice: 'Check the limit (ulimit -n) and how many are open (lsof -p).',
  },
  {
    name: 'address in use',
    pattern: /eaddrinuse|address already in use|port .{0,20}(?:in use|taken)/i,
    means: 'another process already listens on that port',
    advice: 'Check who holds the port (ss -ltnp), and whether an old instance is still running.',
  },
  {
    name: 'connection refused',
    pattern: /econnrefused|connection refused|connect(?:ion)? .{0,40}refused/i,
    means: 'nothing listens at the address, or a firewall refuses it',
    advice: 'Check that the other service runs and that host and port are right.',
  },
  {
    name: 'connection broken',
    pattern:
      /econnreset|connection reset|broken pipe|epipe|socket hang ?up|unexpected eof|connection (?:was )?(?:closed|lost|terminated)|server closed the connection/i,
    means: 'the other side closed the connection while it was in use: a restart, a crash, or an idle limit on the way',
    advice: 'Check whether the other side restarted at that time, and idle time-outs of proxies between.',
  },
  {
    name: 'name not found',
    pattern: /enotfound|eai_again|getaddrinfo|name or service not known|no such host|nxdomain|could not resolve/i,
    means: 'a host name did not resolve',
    advice: 'Check the spelling of the name, and the DNS server.',
  },
  {
    name: 'certificate or TLS',
    pattern: /certificate|x509|\bssl\b|\btls\b|handshake fail|self[- ]signed/i,
    means: 'an encrypted connection failed to be set up, usually over an expired, unknown or wrongly named certificate',
    advice: 'Check expiry and names of the certificate, and the clock of this machine.',
  },
  {
    name: 'rate limit',
    pattern: orStatus(/rate.?limit|too many requests|throttl|quota/, '429'),
    means: 'the other side limits how often it may be called',
    advice: 'Check how many calls are made at once, and whether retries wait as long as asked.',
  },
  {
    name: 'sign-in or key',
    pattern: orStatus(
      /unauthori[sz]ed|authentication fail|invalid (?:api )?(?:key|token|password|credential)|password authentication|login fail|failed password|token (?:has )?expired/,
      '401',
    ),
    means: 'a credential is missing, wrong or expired; many of them from outside are attempts to guess one',
    advice: 'Check the credential in use, and where the attempts come from.',
  },
  {
    name: 'permission',
    pattern: orStatus(/denied|eacces|eperm|operation not permitted|forbidden|not authori[sz]ed|insufficient privilege/, '403'),
    means: 'somebody or something may not do what it tried, by the mode of a file, a role or a policy',
    advice: 'Check owner and mode of the file, the role of the caller, or the policy that is named.',
  },
  {
    name: 'deadlock or lock wait',
    pattern: /deadlock|lock (?:wait )?time-?out|could not obtain lock|lock not available|database is locked|serialization failure/i,
    means: 'two transactions waited for each other, or one held a lock for too long; one of them is undone',
    advice: 'Check the order in which they lock, and long transactions at that time; a retry is the usual answer.',
  },
  {
    name: 'duplicate',
    pattern: orStatus(/duplicate key|unique constraint|already exists|eexist|conflict\b/, '409'),
    means: 'something was to be created that is there already, often a repeated request',
    advice: 'Check whether the same request came twice.',
  },
  {
    name: 'broken data',
    pattern: /corrupt|checksum|crc mismatch|invalid page|bad magic|malformed|unexpected token|parse error|syntax error|invalid json/i,
    means: 'data could not be read as what it should be: damaged, cut short or in another format',
    advice: 'Check where the data came from, and whether a write was cut off.',
  },
  {
    name: 'time-out',
    pattern: /time[d]?[ -]?out|etimedout|deadline exceeded|took too long|context deadline|no response|slow query/i,
    means: 'an answer did not come in time: the other side is slow or overloaded, or the way to it is cut',
    advice: 'Check load and response time of the other side at that time.',
  },
  {
    name: 'crash',
    pattern:
      /segfault|segmentation fault|sigsegv|sigabrt|core dumped|panic|fatal|uncaught|unhandled|stack overflow|assertion fail|exited with (?:code|status) [1-9]|killed by signal/i,
    means: 'a process ended, or a part of it failed in a way that it did not expect',
    advice: 'Check the stack trace or the lines just before the first of these.',
  },
  {
    name: 'null or undefined value',
    pattern: /nullpointer|null pointer|undefined is not|cannot read propert|nil pointer|nonetype|is not a function|attributeerror|typeerror/i,
    means: 'the code used a value that was not there, which is a defect in the program',
    advice: 'Check the first line of the stack trace that names your own code.',
  },
  {
    name: 'not found',
    pattern: orStatus(/enoent|no such file|not found|does not exist|missing/, '404'),
    means: 'something was asked for that is not there: a wrong path or name, or it was removed',
    advice: 'Check the path or name, and who asks for it.',
  },
  {
    name: 'server error',
    pattern: orStatus(/internal server error|bad gateway|service unavailable|gateway time/, '50[0234]'),
    means: 'a server behind this one failed or was not ready',
    advice: 'Check the log of that server at the same time.',
  },
  {
    name: 'configuration',
    pattern:
      /config(?:uration)? .{0,30}(?:error|invalid|missing|fail)|invalid (?:option|argument|setting|value)|unknown (?:option|flag|setting)|environment variable/i,
    means: 'a setting is missing or wrong',
    advice: 'Check the setting that the message names, and what changed last.',
  },
  {
    name: 'retry',
    pattern: /retry|retrying|re-?connect|back-?off|attempt \d|giving up/i,
    means: 'something failed and is tried again; harmless while it stops soon',
    advice: 'Check the failure just before, and whether the tries end.',
  },
  {
    name: 'deprecation',
    pattern: /deprecat|will be removed|no longer supported|end of life/i,
    means: 'something in use will go away in a later version; nothing is wrong yet',
    advice: 'Check the release notes before the next upgrade.',
  },
  {
    name: 'shutdown',
    pattern: /shutting down|shut ?down|stopping|stopped|sigterm|sigint|received .{0,20}signal|drain(?:ing|ed)|exiting|going down/i,
    means: 'a process was asked to stop and did',
    advice: 'Nothing to do if the stop was wanted; else who asked for it.',
  },
  {
    name: 'start',
    pattern: /listening|ready to accept|starting|started|\bready\b|initiali[sz]ed|bootstrap|booting|is up\b/i,
    means: 'a process started; many of these mean that it restarts again and again',
    advice: 'Nothing to do if it started as often as you started it.',
  },
  {
    name: 'database upkeep',
    pattern: /checkpoint (?:starting|complete)|autovacuum|\bvacuum\b|\bwal\b|archiv(?:e|ing)|recovery|redo (?:starts|done)|migration/i,
    means: 'a database does its regular upkeep, or recovers after it was ended hard',
    advice: 'Nothing to do unless it coincides with slowness.',
  },
  {
    name: 'packages',
    pattern: /\b(?:unpack(?:ed|ing)|half-(?:installed|configured)|unselected package|setting up|dpkg|packages? (?:installed|removed|upgraded))\b/i,
    means: 'software was installed, upgraded or removed',
    advice: 'Nothing to do, but keep the time in mind: what broke after it may have broken by it.',
  },
  {
    name: 'scheduled work',
    pattern: /\bcron\b|scheduled|systemd.{0,10}: (?:starting|finished)|timer\b|session (?:opened|closed)/i,
    means: 'regular work of the system, or a session that began or ended',
    advice: 'Nothing to do unless it comes at an unusual time.',
  },
];

export function matchingRules(text: string): LogRule[] {
  return logRules.filter(({ pattern }) => pattern.test(text)).slice(0, 2);
}
