"use strict";

// Swagger UI for this service's description, with a log-in at each issuer that the description names.
(async () => {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const shade = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
  dark.addEventListener("change", shade);
  shade();

  const json = async (address) => {
    const answer = await fetch(address);
    if (!answer.ok) throw new Error(`${address}: ${answer.status}`);
    return answer.json();
  };

  // Left to itself, Swagger UI offers every grant that a provider knows. A browser needs one: the authorization
  // code with PKCE. So each provider is discovered here and described as that. One that does not answer is left
  // out; an access token can always be pasted.
  const clients = {};
  const flowOf = async ([name, scheme]) => {
    if (scheme.type !== "openIdConnect") return [name, scheme];
    try {
      const found = await json(scheme.openIdConnectUrl);
      clients[name] = scheme["x-client-id"];
      const authorizationCode = {
        authorizationUrl: found.authorization_endpoint,
        tokenUrl: found.token_endpoint,
        scopes: { openid: "who you are" },
      };
      return [name, { type: "oauth2", description: scheme.description, flows: { authorizationCode } }];
    } catch (error) {
      console.warn(error);
      return null;
    }
  };

  // Swagger UI knows one client id for all issuers; ours may differ.
  const clientOfIssuer = () => ({
    wrapComponents: {
      oauth2: (Original, { React }) => (props) => {
        const getConfigs = () => ({ ...props.authSelectors.getConfigs(), clientId: clients[props.name] });
        return React.createElement(Original, { ...props, authSelectors: { ...props.authSelectors, getConfigs } });
      },
    },
  });

  try {
    const spec = await json("/api/openapi.json");
    const found = await Promise.all(Object.entries(spec.components.securitySchemes).map(flowOf));
    // The log-in comes first, and the pasted token last.
    const schemes = Object.fromEntries(found.filter(Boolean).reverse());
    spec.components.securitySchemes = schemes;
    spec.security = spec.security.filter((required) => Object.keys(required).every((name) => name in schemes));
    const ui = SwaggerUIBundle({
      spec,
      dom_id: "#swagger-ui",
      deepLinking: true,
      displayOperationId: true,
      defaultModelsExpandDepth: 0,
      // The default sends the description's address to a server elsewhere.
      validatorUrl: null,
      // No token outlives the page.
      persistAuthorization: false,
      oauth2RedirectUrl: `${location.origin}/api/docs/oauth2-redirect.html`,
      plugins: [clientOfIssuer],
    });
    ui.initOAuth({ usePkceWithAuthorizationCodeGrant: true, scopes: "openid" });
  } catch (error) {
    console.error(error);
    document.getElementById("failed").hidden = false;
  }
})();
