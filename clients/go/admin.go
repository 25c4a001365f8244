package uwfq

import (
	"context"
	"iter"

	"github.com/uwfq/uwfq/clients/go/uwfqv1"
)

// SetUser sets a user's weight and caps in one pool, before or after the user's first job.  What the
// request leaves out stays as it is.
func (c *Client) SetUser(
	ctx context.Context, request *uwfqv1.SetUserRequest,
) (*uwfqv1.SetUserResponse, error) {
	return ask(ctx, c.admin.SetUser, request)
}

// ListUsers is one page of a pool's users, by name; see [Client.Users] for all of them.
func (c *Client) ListUsers(
	ctx context.Context, request *uwfqv1.ListUsersRequest,
) (*uwfqv1.ListUsersResponse, error) {
	return ask(ctx, c.admin.ListUsers, request)
}

// Users goes through the users of a pool, by name.  A page is fetched when it is reached.  An error
// is the last that is yielded.
func (c *Client) Users(
	ctx context.Context, request *uwfqv1.ListUsersRequest,
) iter.Seq2[*uwfqv1.User, error] {
	return pages(request.GetPageToken(), func(token string) ([]*uwfqv1.User, string, error) {
		page := copyOf(request)
		page.PageToken = token
		response, err := c.ListUsers(ctx, page)
		return response.GetUsers(), response.GetNextPageToken(), err
	})
}

// GetPool tells how a pool stands.
func (c *Client) GetPool(
	ctx context.Context, request *uwfqv1.GetPoolRequest,
) (*uwfqv1.GetPoolResponse, error) {
	return ask(ctx, c.admin.GetPool, request)
}

// ListPools is all pools, by name.
func (c *Client) ListPools(
	ctx context.Context, request *uwfqv1.ListPoolsRequest,
) (*uwfqv1.ListPoolsResponse, error) {
	return ask(ctx, c.admin.ListPools, request)
}
