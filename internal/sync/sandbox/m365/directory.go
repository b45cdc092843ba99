package m365

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// User is an account of the directory. ID and UserPrincipalName are never empty in a user
// that the server returns.
type User struct {
	ID                string `json:"id"`
	UserPrincipalName string `json:"userPrincipalName"`
	// Mail is the primary address; an account without a mailbox may have none.
	Mail        string `json:"mail,omitempty"`
	DisplayName string `json:"displayName"`
	GivenName   string `json:"givenName,omitempty"`
	Surname     string `json:"surname,omitempty"`
	JobTitle    string `json:"jobTitle,omitempty"`
	// Disabled: the account may not sign in.
	Disabled bool `json:"disabled,omitempty"`
	// Guest: the account belongs to another organization.
	Guest bool `json:"guest,omitempty"`
}

// The properties of a user that the server has, and those that are shown without $select.
// D/api-reference/v1.0/api/user-list.md
var (
	userProperties = []string{
		"id", "businessPhones", "displayName", "givenName", "jobTitle", "mail", "mobilePhone", "officeLocation", "preferredLanguage",
		"surname", "userPrincipalName", "accountEnabled", "userType", "assignedLicenses", "proxyAddresses", "mailNickname",
	}
	userDefaults = userProperties[:11]
)

func orNull(t string) any {
	if t == "" {
		return nil
	}
	return t
}

func (m *mailbox) userView() map[string]any {
	u := m.user
	nick, _, _ := strings.Cut(u.UserPrincipalName, "@")
	o := map[string]any{
		"id": u.ID, "businessPhones": []any{}, "displayName": orNull(u.DisplayName), "givenName": orNull(u.GivenName),
		"jobTitle": orNull(u.JobTitle), "mail": orNull(u.Mail), "mobilePhone": nil, "officeLocation": nil, "preferredLanguage": nil,
		"surname": orNull(u.Surname), "userPrincipalName": u.UserPrincipalName, "accountEnabled": !u.Disabled, "userType": "Member",
		"assignedLicenses": []any{}, "proxyAddresses": []any{}, "mailNickname": nick,
	}
	if u.Guest {
		o["userType"] = "Guest"
	}
	if u.State != MailboxUnlicensed {
		// Office 365 E3 (no Teams) by its published product number.
		o["assignedLicenses"] = []any{map[string]any{"skuId": "6fd2c87f-b296-42f0-b197-1e91e994b900", "disabledPlans": []any{}}}
	}
	if u.Mail != "" {
		o["proxyAddresses"] = []any{"SMTP:" + u.Mail}
	}
	return o
}

func getOrganization(s *Server, c *call, _ *target) (*reply, error) {
	if err := c.query.only("$select"); err != nil {
		return nil, err
	}
	names, err := c.query.selected("microsoft.graph.organization", []string{"id", "displayName", "verifiedDomains", "countryLetterCode"})
	if err != nil {
		return nil, err
	}
	org := map[string]any{
		"id": s.opt.Tenant, "displayName": s.opt.TenantName, "countryLetterCode": nil,
		"verifiedDomains": []any{map[string]any{"capabilities": "Email, OfficeCommunicationsOnline", "isDefault": true, "isInitial": true, "name": s.opt.Domain, "type": "Managed"}},
	}
	return okReply(http.StatusOK, map[string]any{"@odata.context": c.base + "/$metadata#organization", "value": []any{pick(org, names)}}), nil
}

// listUsers lists accounts: by default 100, at most 999 a page, the next one behind a
// $skiptoken. D/api-reference/v1.0/api/user-list.md
func listUsers(s *Server, c *call, _ *target) (*reply, error) {
	if err := c.query.only("$select", "$filter", "$top", "$skiptoken", "$count"); err != nil {
		return nil, err
	}
	names, err := c.query.selected("microsoft.graph.user", userProperties)
	if err != nil {
		return nil, err
	}
	if names == nil {
		names = userDefaults
	}
	top, err := c.query.number("$top", 100, 999)
	if err != nil {
		return nil, err
	}
	var filter expr
	if text, ok := c.query["$filter"]; ok {
		if filter, err = parseFilter(text); err != nil {
			return nil, refuse(http.StatusBadRequest, "Request_UnsupportedQuery", "Unsupported or invalid query filter clause specified.")
		}
	}
	begin := 0
	if t := c.query["$skiptoken"]; t != "" {
		b, _ := base64.RawURLEncoding.DecodeString(t)
		n, err := strconv.Atoi(strings.TrimPrefix(string(b), "page:"))
		if err != nil || n < 0 {
			return nil, refuse(http.StatusBadRequest, "Directory_ExpiredPageToken", "The specified page token value has expired and can no longer be included in your request.")
		}
		begin = n
	}
	var found []*mailbox
	for _, m := range s.order {
		if filter == nil || filter.holds(m.userView()) {
			found = append(found, m)
		}
	}
	out := []any{}
	for _, m := range found[min(begin, len(found)):min(begin+top, len(found))] {
		o := pick(m.userView(), names)
		if !slices.Contains(names, "id") && c.query["$select"] != "" {
			delete(o, "id")
		}
		out = append(out, o)
	}
	body := map[string]any{"@odata.context": c.base + "/$metadata#users", "value": out}
	if c.query["$count"] == "true" {
		body["@odata.count"] = len(found)
	}
	if begin+top < len(found) {
		v := url.Values{}
		for k, t := range c.query {
			v.Set(k, t)
		}
		v.Set("$skiptoken", base64.RawURLEncoding.EncodeToString([]byte("page:"+strconv.Itoa(begin+top))))
		body["@odata.nextLink"] = c.base + "/users?" + strings.ReplaceAll(v.Encode(), "%24", "$")
	}
	return okReply(http.StatusOK, body), nil
}

func getUser(_ *Server, c *call, rt *target) (*reply, error) {
	if err := c.query.only("$select"); err != nil {
		return nil, err
	}
	names, err := c.query.selected("microsoft.graph.user", userProperties)
	if err != nil {
		return nil, err
	}
	if names == nil {
		names = userDefaults
	}
	o := pick(rt.m.userView(), names)
	o["@odata.context"] = c.base + "/$metadata#users/$entity"
	return okReply(http.StatusOK, o), nil
}

// getSettings is the cheapest question to a mailbox.
func getSettings(_ *Server, c *call, rt *target) (*reply, error) {
	if err := c.query.only("$select"); err != nil {
		return nil, err
	}
	known := []string{"timeZone", "dateFormat", "timeFormat", "language", "userPurpose"}
	names, err := c.query.selected("microsoft.graph.mailboxSettings", known)
	if err != nil {
		return nil, err
	}
	o := pick(map[string]any{
		"@odata.context": c.base + "/$metadata#users('" + url.PathEscape(rt.m.user.ID) + "')/mailboxSettings",
		"timeZone":       "W. Europe Standard Time", "dateFormat": "yyyy-MM-dd", "timeFormat": "HH:mm", "userPurpose": "user",
		"language": map[string]any{"locale": "en-GB", "displayName": "English (United Kingdom)"},
	}, names)
	return okReply(http.StatusOK, o), nil
}
