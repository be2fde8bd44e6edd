/** Bytes as a person reads them: 512 MiB, 1.5 GiB. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${Number(value.toFixed(1))} ${units[unit]}`;
}

/** Cores as a person reads them: 1 CPU, 0.5 CPUs. */
export function formatCpus(cpus: number): string {
  const value = Number(cpus.toFixed(2));
  return `${value} ${value === 1 ? 'CPU' : 'CPUs'}`;
}
