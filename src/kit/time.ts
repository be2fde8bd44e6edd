/** An ISO 8601 time in UTC as lists and reports print it, to the second: "2026-11-24 06:12:00". Whoever prints it says that it is UTC. */
export const second = (at: string): string => at.replace('T', ' ').slice(0, 19);
