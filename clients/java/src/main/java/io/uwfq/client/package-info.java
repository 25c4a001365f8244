/**
 * The Java client of UWFQ, a service that shares a compute engine fairly between users.
 *
 * <p>Two things to know. A {@link io.uwfq.client.Client} is for those who bring work: it submits
 * jobs, watches them and explains why they wait. A {@link io.uwfq.client.Worker} is for those who
 * do it: it asks the service for tasks, runs a handler for each and reports how it went.
 *
 * <p>Requests and answers are the messages of the protocol ({@link io.uwfq.v1}); what they mean,
 * their units and their limits stand in the comments of those classes. {@link io.uwfq.client.Jobs}
 * has the few helpers that make them pleasant. What goes wrong is a {@link
 * io.uwfq.client.UwfqException}.
 */
package io.uwfq.client;
